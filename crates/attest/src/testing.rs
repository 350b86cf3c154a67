//! A key for tests.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};

use crate::{Check, Sign};

pub(crate) struct TestKey(EcdsaKeyPair, String);

impl TestKey {
    pub(crate) fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self(
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random)
                .unwrap(),
            id.to_owned(),
        )
    }
}

impl Sign for TestKey {
    fn key_id(&self) -> &str {
        &self.1
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0
            .sign(&SystemRandom::new(), message)
            .ok()
            .map(|signature| signature.as_ref().to_vec())
    }
}

impl Check for TestKey {
    fn check(&self, key_id: &str, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.0.public_key().as_ref());
        key_id == self.1 && key.verify(message, signature).is_ok()
    }
}
