//! The signatures of tokens, checked by ring. `jsonwebtoken`'s own choices would bring a second library
//! for cryptography beside that of TLS.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result, new_error};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use signature::Verifier;

/// The algorithms that are taken: those whose public keys may be known to all.
pub(super) const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

static RING: CryptoProvider = CryptoProvider {
    signer_factory: sign_nothing,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use ring, if nothing else is in use.
pub(super) fn install() {
    // It fails if it has been installed before, as by the gateway before this one in a test.
    let _ = RING.install_default();
}

fn sign_nothing(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(new_error(ErrorKind::UnsupportedAlgorithm))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let wanted = match algorithm {
        Algorithm::RS256 => AlgorithmFamily::Rsa,
        Algorithm::ES256 => AlgorithmFamily::Ec,
        Algorithm::EdDSA => AlgorithmFamily::Ed,
        _ => return Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    };
    if key.family() != wanted {
        return Err(new_error(ErrorKind::InvalidKeyFormat));
    }
    Ok(Box::new(Ring { algorithm: *algorithm, key: key.clone() }))
}

struct Ring {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Ring {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let checked = match (self.key.kind(), self.algorithm) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, Algorithm::RS256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (DecodingKeyKind::SecretOrDer(point), Algorithm::ES256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (DecodingKeyKind::SecretOrDer(point), Algorithm::EdDSA) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            _ => return Err(signature::Error::new()),
        };
        checked.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Ring {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A key of `openssl genrsa 2048`, which was thrown away, and a signature of `openssl dgst -sha256 -sign`.
    const N: &str = concat!(
        "pbOIMsVD4uOyJ8e_hx9pYbhgqmHBAJ--W-BwCPeivPaXRVbLVzKTQh6GSvdiWFMCjDj5X6vFwEguSKsmf0FkuTaPIvRpjdR0RbUH",
        "w23-l5pE8e7NIzs8LKklTlAPRKt3VIBkrzl83vTd4sTgSWq4TeoKlcpN6xrYXZao_wpCDwOZRpTUYxS4yM5VfOe0oIUdgZFhwZwH",
        "OZJQGnuR5mNY1JhLShdKrF2YjoxhTpVwenyLOcnmGrmod4lAswn763unQLHj8WUomeBbI89OcMyl_pubAGqjysdizZ99TahM34U7",
        "nazJh6OH6CtAjvpFCJ8JLT2M2J0mjaccI3zhMR5ZYw",
    );
    const MESSAGE: &str = "eyJhbGciOiJSUzI1NiJ9.eyJmdW5jdGlvbnMiOiIqIn0";
    const SIGNATURE: &str = concat!(
        "I2xwyaKZ_M8AsCr2eSDcrRv6vC1sKqbn9oxIJfI7CnPjg0wtGyHFVANSqh4nKR3o08xom1F2X8k_0GonlZd3Duez8UbAIbwZHd10",
        "Wmn-dtRXyq-FF1qzgbSSRP-73zhV_xMOVLPf-L8_C3CposXB8McsLJINO7ktDtnJXT_AFvqGpJCGft6YYi6qPC6-k105kJtYILiM",
        "22AG0CHw2_nj7Xlzucx-nLbf6jsxKys6-WrqdjIDMHfCu8rzXG6fucyG09cah-OrsAj83SJmdml6ZcpR2zo3FF06uSdjPxr2CnlY",
        "rXjL-PVo-23Il64AegqVJiwrrmdPYGU1sEWSz0xCpQ",
    );

    #[test]
    fn an_rsa_signature_of_openssl_is_good_for_its_message_only() {
        install();
        let key = DecodingKey::from_rsa_components(N, "AQAB").unwrap();
        let verify =
            |message: &str| jsonwebtoken::crypto::verify(SIGNATURE, message.as_bytes(), &key, Algorithm::RS256);
        assert!(verify(MESSAGE).unwrap());
        assert!(!verify(&MESSAGE.replace("Iq", "Ir")).unwrap());
        let other = DecodingKey::from_secret(b"shared");
        for algorithm in [Algorithm::RS256, Algorithm::HS256, Algorithm::RS512] {
            assert!(jsonwebtoken::crypto::verify(SIGNATURE, MESSAGE.as_bytes(), &other, algorithm).is_err());
        }
    }
}
