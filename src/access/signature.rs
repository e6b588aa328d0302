//! The three signatures that Supabase's tokens come with, for `jsonwebtoken`: HS256 under the project's legacy secret,
//! ES256 and RS256 under its published keys. Every other algorithm has no verifier here, so no token can talk this
//! service into it.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use rsa::{BoxedUint, Pkcs1v15Sign};
use sha2::{Digest, Sha256};

/// Makes `jsonwebtoken` use these verifiers. Must be called before a token is parsed; calling it again does nothing.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    // Nothing is signed here.
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    // For making and fingerprinting keys, which is not done here either.
    key_utils: KeyUtils::new_unimplemented(),
};

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    use jsonwebtoken::AlgorithmFamily::{Ec, Hmac, Rsa};
    let wrong = || Error::from(ErrorKind::InvalidKeyFormat);
    match (algorithm, key.family(), key.kind()) {
        (Algorithm::HS256, Hmac, DecodingKeyKind::SecretOrDer(secret)) => Ok(Box::new(Hs256(secret.clone()))),
        (Algorithm::ES256, Ec, DecodingKeyKind::SecretOrDer(point)) => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| wrong())?;
            Ok(Box::new(Es256(key)))
        }
        (Algorithm::RS256, Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            let number = |bytes: &[u8]| BoxedUint::from_be_slice_vartime(bytes);
            let key = rsa::PublicKey::new(number(n), number(e)).map_err(|_| wrong())?;
            Ok(Box::new(Rs256(key)))
        }
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

struct Hs256(Vec<u8>);
struct Es256(p256::ecdsa::VerifyingKey);
struct Rs256(rsa::PublicKey);

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| signature::Error::new())?;
        mac.update(message);
        // Compares in constant time.
        mac.verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl Verifier<Vec<u8>> for Es256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        use p256::ecdsa::signature::Verifier as _;
        let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| signature::Error::new())?;
        self.0.verify(message, &signature).map_err(|_| signature::Error::new())
    }
}

impl Verifier<Vec<u8>> for Rs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let padding = Pkcs1v15Sign::new::<Sha256>();
        self.0.verify(padding, &Sha256::digest(message), signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Es256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

impl JwtVerifier for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}
