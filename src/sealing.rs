//! The cryptography of the store: values are sealed for their key, and keys hold keyed hashes in place of names.

use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The purpose that the secret of the keys' hash is derived for.
const KEY_HASH_PURPOSE: &[u8] = b"bipolar-edge store keys 1";

/// A sealed name has a multiple of so many bytes.
const NAME_BYTES: usize = 128;
/// The text that names are sealed for.
const NAME_PURPOSE: &str = "name";

/// The secrets of a deployment's store.
#[derive(Clone)]
pub(crate) struct StoreSecrets {
    /// Seals values; `None` leaves them as they are.
    pub(crate) cipher: Option<Cipher>,
    /// Hashes what a key would otherwise name.
    pub(crate) keyed_hash: KeyedHash,
    /// The secret that it was derived from is one.
    pub(crate) is_secret: bool,
}

/// XChaCha20-Poly1305, with a random nonce in front of each value.
#[derive(Clone)]
pub(crate) struct Cipher(XChaCha20Poly1305);

impl Cipher {
    /// Parses a key of 64 hexadecimal digits.
    pub(crate) fn parse(digits: &str) -> Option<Cipher> {
        let mut key = [0; 32];
        let key = base16ct::mixed::decode(digits, &mut key).ok().filter(|key| key.len() == 32)?;
        XChaCha20Poly1305::new_from_slice(key).ok().map(Cipher)
    }

    /// Seals a value for its key.
    pub(crate) fn seal(&self, key: &str, value: &[u8]) -> Vec<u8> {
        let nonce = XNonce::generate();
        let sealed = self.0.encrypt(&nonce, Payload { msg: value, aad: key.as_bytes() });
        // Encryption fails for values beyond 256 GiB only; an empty value opens for no key.
        sealed.map_or_else(|_| Vec::new(), |sealed| [nonce.as_slice(), &sealed].concat())
    }

    /// Opens a value, or returns `None` if it was not sealed for this key under this cipher.
    pub(crate) fn open(&self, key: &str, value: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = value.split_first_chunk::<24>()?;
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: key.as_bytes() }).ok()
    }
}

impl StoreSecrets {
    /// A value as it goes into the store.
    pub(crate) fn seal(&self, key: &str, value: &[u8]) -> Vec<u8> {
        self.cipher.as_ref().map_or_else(|| value.to_vec(), |cipher| cipher.seal(key, value))
    }

    /// A name as it goes into the store, sealed alike each time, for what stands under it to be found: its nonce is a
    /// keyed hash of it, as in SIV (RFC 5297). All have one of a few lengths, which would tell them apart.
    pub(crate) fn seal_name(&self, name: &str) -> Vec<u8> {
        let Some(Cipher(cipher)) = &self.cipher else { return name.as_bytes().to_vec() };
        let padded = format!("{name:<width$}", width = name.len().next_multiple_of(NAME_BYTES));
        let digest = self.keyed_hash.digest(&format!("{NAME_PURPOSE}:{padded}"));
        let nonce: [u8; 24] = std::array::from_fn(|index| digest[index]);
        let payload = Payload { msg: padded.as_bytes(), aad: NAME_PURPOSE.as_bytes() };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload);
        sealed.map_or_else(|_| Vec::new(), |sealed| [&nonce[..], &sealed].concat())
    }

    /// A name out of the store, or `None` if this deployment did not seal it.
    pub(crate) fn open_name(&self, name: Vec<u8>) -> Option<String> {
        let name = String::from_utf8(self.open(NAME_PURPOSE, name)?).ok()?;
        Some(name.trim_end().to_owned())
    }

    /// A value out of the store, or `None` if this deployment did not seal it for this key.
    pub(crate) fn open(&self, key: &str, value: Vec<u8>) -> Option<Vec<u8>> {
        match &self.cipher {
            None => Some(value),
            Some(cipher) => cipher.open(key, &value),
        }
    }
}

/// HMAC-SHA256 that has been given its secret.
#[derive(Clone)]
pub(crate) struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    /// Derives the hash's own secret from one that serves something else too (HKDF-SHA256, RFC 5869): whoever learns
    /// one of them does not learn the other.
    pub(crate) fn derive(secret: &[u8]) -> KeyedHash {
        let mut derived = [0; 64];
        // Fails for more than 8,160 bytes only.
        let _ = Hkdf::<Sha256>::new(None, secret).expand(KEY_HASH_PURPOSE, &mut derived);
        KeyedHash(Hmac::new(&derived.into()))
    }

    pub(crate) fn digest(&self, text: &str) -> [u8; 32] {
        self.digest_parts([text.as_bytes()])
    }

    /// Hashes parts that stand one behind the other.
    pub(crate) fn digest_parts<T: AsRef<[u8]>>(&self, parts: impl IntoIterator<Item = T>) -> [u8; 32] {
        let mut hash = self.0.clone();
        parts.into_iter().for_each(|part| hash.update(part.as_ref()));
        hash.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(digit: &str) -> StoreSecrets {
        StoreSecrets { cipher: Cipher::parse(&digit.repeat(64)), keyed_hash: KeyedHash::derive(b""), is_secret: true }
    }

    #[test]
    fn a_sealed_value_opens_for_its_own_key_under_its_own_cipher() {
        let (one, other) = (secrets("a"), secrets("b"));
        let sealed = one.seal("k", b"predictions");
        assert!(!sealed.windows(4).any(|bytes| bytes == b"pred"));
        assert_ne!(sealed, one.seal("k", b"predictions"), "a nonce of its own");
        assert_eq!(one.open("k", sealed.clone()).as_deref(), Some(&b"predictions"[..]));
        assert_eq!(one.open("another", sealed.clone()), None);
        assert_eq!(other.open("k", sealed.clone()), None);
        for cut in [0, 10, 24, sealed.len() - 1] {
            assert_eq!(one.open("k", sealed[..cut].to_vec()), None);
        }
        assert_eq!(one.open("k", b"{\"key\":\"k\"}".to_vec()), None, "written before there was a cipher");
    }

    #[test]
    fn a_sealed_name_is_alike_each_time_and_says_nothing_of_itself() {
        let (one, other) = (secrets("a"), secrets("b"));
        let names = ["predictions|suicidality_risk|elevated|high#0", "predictions|mood_state|euthymia|low#0", "n"];
        for name in names {
            let sealed = one.seal_name(name);
            assert_eq!((sealed.len(), &sealed), (24 + NAME_BYTES + 16, &one.seal_name(name)));
            assert_eq!(one.open_name(sealed.clone()).as_deref(), Some(name));
            assert_eq!(other.open_name(sealed.clone()), None);
            assert!(!sealed.windows(4).any(|part| name.as_bytes().windows(4).any(|own| own == part)));
        }
        assert_ne!(one.seal_name(names[0]), one.seal_name(names[1]));
        assert_eq!(one.open_name(names[0].as_bytes().to_vec()), None, "written before there was a cipher");
        let open = StoreSecrets { cipher: None, ..one };
        assert_eq!(open.open_name(open.seal_name("a name")).as_deref(), Some("a name"));
    }

    #[test]
    fn a_cipher_has_64_hexadecimal_digits() {
        assert!(Cipher::parse(&"aB".repeat(32)).is_some());
        for wrong in ["", "abc", "+f", &"zz".repeat(32), &"é".repeat(32), &"a".repeat(63), &"a".repeat(66)] {
            assert!(Cipher::parse(wrong).is_none(), "{wrong}");
        }
    }
}
