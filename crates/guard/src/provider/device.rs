//! Signing in at a terminal (RFC 8628): it shows an address and a code, which its person opens and types wherever they have a
//! browser. The terminal asks this server, and this server the provider.

use std::collections::BTreeMap;
use std::net::IpAddr;

use custody_identity::{Guesser, Method, Token, TokenId};
use custody_oidc::{DeviceError, Tokens, device_form, device_token_form, read_device};
use custody_types::{Digest, Problem, Timestamp, code};
use custody_wire::{DevicePollReply, DevicePollRequest, DeviceReply, DeviceRequest};
use zeroize::Zeroizing;

use super::{Came, Chosen, Failure, Said, Stopped};
use crate::door::{Door, lock};

/// How many sign-ins by a device wait at once, and how many from one address.
const MOST: usize = 256;
const MOST_AT_ADDRESS: usize = 8;
/// By how much somebody who asks too often waits longer (RFC 8628, section 3.5), and how long at most, in milliseconds.
const SLOWER_MS: u64 = 5_000;
const SLOWEST_MS: u64 = 60_000;

/// The sign-ins that wait until somebody confirms their code.
#[derive(Debug, Default)]
pub(super) struct Devices(BTreeMap<TokenId, Waiting>);

struct Waiting {
    hash: Digest,
    from: Guesser,
    chosen: Chosen,
    device_code: Zeroizing<String>,
    began: Timestamp,
    /// When it ends, how long one waits between two questions, and when the next one counts, in milliseconds.
    ends_ms: u64,
    interval_ms: u64,
    next_ms: u64,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting(…)")
    }
}

/// What a question finds.
enum Found {
    /// Nothing that is theirs.
    Nothing,
    /// It is too early, by so many milliseconds.
    Early(u64),
    /// The provider is asked.
    Due(Box<Chosen>, Zeroizing<String>, Timestamp),
}

impl Devices {
    fn add(&mut self, id: TokenId, waiting: Waiting, now_ms: u64) -> Result<(), Problem> {
        self.0.retain(|_, one| now_ms < one.ends_ms);
        let here = self.0.values().filter(|one| one.from == waiting.from);
        if self.0.len() >= MOST || here.count() >= MOST_AT_ADDRESS {
            return Err(Problem::new(code::DOOR_027, "too many sign in at once")
                .because("codes that nobody has confirmed yet wait for that")
                .hint("confirm one of them, or try again in some minutes"));
        }
        self.0.insert(id, waiting);
        Ok(())
    }

    /// Finds what is asked about, by whoever began it, and lets the next question count later.
    fn find(&mut self, shown: &Token, from: &Guesser, now_ms: u64) -> Found {
        self.0.retain(|_, one| now_ms < one.ends_ms);
        let Some(waiting) = self.0.get_mut(shown.id()) else {
            return Found::Nothing;
        };
        if !shown.is_of(&waiting.hash) || waiting.from != *from {
            return Found::Nothing;
        }
        if now_ms < waiting.next_ms {
            return Found::Early(waiting.next_ms - now_ms);
        }
        waiting.next_ms = now_ms + waiting.interval_ms;
        Found::Due(
            Box::new(waiting.chosen.clone()),
            waiting.device_code.clone(),
            waiting.began,
        )
    }

    /// Lets the next question wait longer. Returns how long, in milliseconds.
    fn slower(&mut self, id: &TokenId, by_ms: u64, now_ms: u64) -> u64 {
        let Some(waiting) = self.0.get_mut(id) else {
            return SLOWEST_MS;
        };
        waiting.interval_ms = (waiting.interval_ms + by_ms).min(SLOWEST_MS);
        waiting.next_ms = now_ms + waiting.interval_ms;
        waiting.interval_ms
    }
}

fn unconfirmed(because: &str) -> Problem {
    Problem::new(code::DOOR_036, "the code was not confirmed")
        .because(because)
        .hint("begin again: `custody login ADDRESS --oidc`")
}

fn wait(ms: u64) -> DevicePollReply {
    DevicePollReply {
        session: None,
        wait_ms: ms,
    }
}

impl Door {
    /// Begins a sign-in at a terminal.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such provider, it cannot be asked or does not offer this, or too many wait.
    pub fn begin_device(
        &self,
        request: &DeviceRequest,
        address: IpAddr,
    ) -> Result<DeviceReply, Problem> {
        let guesser = self.may_come(address)?;
        let (chosen, access) = self.chosen(request.provider.as_deref())?;
        let began = self.now();
        let stopped = |stopped| self.stopped(&chosen, stopped, &guesser);
        let metadata = self.metadata(&chosen).map_err(stopped)?;
        let device = metadata.device.as_ref().ok_or_else(|| {
            let what = format!(
                "the identity provider `{}` lets no terminal sign in",
                chosen.name
            );
            Problem::new(code::DOOR_035, what)
                .because("it has no endpoint for devices (RFC 8628)")
                .hint(
                    "sign in with a browser, or by a password: `custody login ADDRESS --user NAME`",
                )
        })?;
        let form = device_form(&metadata, chosen.client(access), &chosen.provider.scopes);
        // Whoever may not begin one more asks nothing of the provider.
        let (token, now_ms) = (
            Token::draw(self.0.parts.entropy.as_ref()),
            self.monotonic_ms(),
        );
        let waiting = |device_code, seconds: u64, interval_ms| Waiting {
            hash: token.hash(),
            from: guesser.of_anybody(),
            chosen: chosen.clone(),
            device_code,
            began,
            ends_ms: now_ms + seconds * 1000,
            interval_ms,
            next_ms: now_ms + interval_ms,
        };
        let devices = &self.0.people.providers.devices;
        let room = waiting(Zeroizing::default(), 60, SLOWEST_MS);
        lock(devices).add(token.id().clone(), room, now_ms)?;
        let asked = self.ask_provider(&chosen, device, Some(&form));
        let begun = asked.and_then(|answer| read_device(&answer).map_err(Failure::Answer));
        let begun = match begun {
            Ok(begun) => begun,
            Err(failure) => {
                lock(devices).0.remove(token.id());
                return Err(stopped(failure.into()));
            }
        };
        let interval_ms = begun.interval * 1000;
        let set = waiting(begun.device_code, begun.expires, interval_ms);
        lock(devices).0.insert(token.id().clone(), set);
        Ok(DeviceReply {
            provider: chosen.name.to_string(),
            pending: token.expose().to_string(),
            user_code: begun.user_code,
            address: begun.address,
            wait_ms: interval_ms,
            expires: began.plus_seconds(i64::try_from(begun.expires).unwrap_or(0)),
        })
    }

    /// Asks whether somebody has confirmed the code of a sign-in at a terminal, and lets them in.
    ///
    /// # Errors
    /// A [`Problem`] when nobody will any more, or the provider's token is not as it must be.
    pub fn poll_device(
        &self,
        request: &DevicePollRequest,
        address: IpAddr,
    ) -> Result<DevicePollReply, Problem> {
        let guesser = self.may_come(address)?;
        let (devices, now_ms) = (&self.0.people.providers.devices, self.monotonic_ms());
        let shown = request.pending.parse::<Token>();
        let found = shown.as_ref().map_or(Found::Nothing, |shown| {
            lock(devices).find(shown, &guesser.of_anybody(), now_ms)
        });
        let (chosen, device_code, began) = match (found, &shown) {
            (Found::Early(ms), _) => return Ok(wait(ms)),
            (Found::Due(chosen, device_code, began), _) => (*chosen, device_code, began),
            (Found::Nothing, _) => {
                let told = "it has ended, or began at another terminal";
                return Err(unconfirmed(told));
            }
        };
        let Ok(shown) = shown else {
            return Err(unconfirmed("it has ended, or began at another terminal"));
        };
        let slower = |by_ms| Ok(wait(lock(devices).slower(shown.id(), by_ms, now_ms)));
        let ended = || lock(devices).0.remove(shown.id());
        let asked = self.asked_for_device(&chosen, &device_code);
        let tokens = match asked {
            // A provider that is away for a moment is asked again, later each time (RFC 8628, section 3.5).
            Err(Stopped::Failed(Failure::Unreached(_) | Failure::Status) | Stopped::Again(_)) => {
                return slower(SLOWER_MS);
            }
            Err(stopped) => {
                ended();
                return Err(self.stopped(&chosen, stopped, &guesser));
            }
            Ok(Err(DeviceError::Pending)) => return slower(0),
            Ok(Err(DeviceError::SlowDown)) => return slower(SLOWER_MS),
            Ok(Err(told)) => {
                ended();
                let (word, because) = match told {
                    DeviceError::Denied => {
                        ("provider_refused", "somebody refused it at the provider")
                    }
                    DeviceError::Expired => ("late", "it ended before somebody typed it"),
                    DeviceError::Other(error) => {
                        let failure = Stopped::Failed(Failure::Answer(error));
                        return Err(self.stopped(&chosen, failure, &guesser));
                    }
                    _ => ("answer", "the provider does not say why"),
                };
                let told = self.stopped(&chosen, Stopped::Refused(word), &guesser);
                let is_entered = told.code == code::DOOR_032;
                return Err(if is_entered {
                    unconfirmed(because)
                } else {
                    told
                });
            }
            Ok(Ok(tokens)) => tokens,
        };
        // It counts once: whoever asks at the same time finds it no more.
        if ended().is_none() {
            return Err(unconfirmed("it has ended, or began at another terminal"));
        }
        let came = Came {
            tokens: &tokens,
            nonce: None,
            began,
        };
        let claims = self
            .metadata(&chosen)
            .and_then(|metadata| self.verified(&chosen, &metadata, &came))
            .map_err(|stopped| self.stopped(&chosen, stopped, &guesser))?;
        let said = Said {
            chosen,
            claims,
            method: Method::Device,
        };
        Ok(DevicePollReply {
            session: Some(self.let_in_by_provider(said, &guesser)?),
            wait_ms: 0,
        })
    }

    fn asked_for_device(
        &self,
        chosen: &Chosen,
        device_code: &str,
    ) -> Result<Result<Tokens, DeviceError>, Stopped> {
        let (now, access) = self
            .chosen(Some(chosen.name.as_str()))
            .map_err(|_| Stopped::Refused("provider"))?;
        // Who was sent to another provider of the name does not come back to this one.
        if now.provider.issuer != chosen.provider.issuer {
            return Err(Stopped::Refused("provider"));
        }
        let metadata = self.metadata(chosen)?;
        let form = device_token_form(&metadata, chosen.client(access), device_code);
        let answer = self.ask_provider(chosen, &metadata.token, Some(&form))?;
        if answer.status >= 500 {
            return Err(Stopped::Failed(Failure::Status));
        }
        Ok(Tokens::of_device(&answer))
    }
}
