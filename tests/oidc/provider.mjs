// An identity provider on this machine, for tests: its port, what it calls its client, and who there is come as JSON on the
// command line. With each start it has other keys. It says `ready` when it takes connections.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import Provider from "oidc-provider";

const { port, client, redirect, secret, algorithm, people } = JSON.parse(process.argv[2]);
const KINDS = { ES256: ["ec", { namedCurve: "P-256" }], RS256: ["rsa", { modulusLength: 2048 }], PS256: ["rsa", { modulusLength: 2048 }], EdDSA: ["ed25519", {}] };
const name = () => randomBytes(8).toString("hex");
// Besides the key that it signs with, it has the one that the library demands.
const keys = [...new Set([algorithm, "RS256"])].map((one) => ({
  ...generateKeyPairSync(...KINDS[one]).privateKey.export({ format: "jwk" }),
  kid: name(),
  alg: one,
  use: "sig",
}));

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: client,
      ...(secret ? { client_secret: secret } : {}),
      token_endpoint_auth_method: secret ? "client_secret_basic" : "none",
      redirect_uris: [redirect],
      response_types: ["code"],
      grant_types: ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
      id_token_signed_response_alg: algorithm,
    },
  ],
  jwks: { keys },
  cookies: { keys: [name()] },
  claims: { openid: ["sub"], email: ["email"], groups: ["groups"] },
  scopes: ["openid", "email", "groups"],
  // What is asked for stands in the ID token, as most providers do it.
  conformIdTokenClaims: false,
  enabledJWA: { idTokenSigningAlgValues: Object.keys(KINDS) },
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
  pkce: { required: () => true },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...(people[id] ?? {}) }) }),
  ttl: { Interaction: 600, Session: 600, Grant: 600, IdToken: 300, AccessToken: 300, DeviceCode: 600, AuthorizationCode: 60 },
});
provider.listen(port, "127.0.0.1", () => console.log("ready"));
