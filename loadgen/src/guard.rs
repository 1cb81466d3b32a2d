//! Which targets may be loaded without a word that they are one's own.

use std::net::{IpAddr, SocketAddr};

/// How far a load may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// As [`Reach::Cluster`], and whoever knows the function's instances must be near as well: for a worker, to whom
    /// somebody else names the cluster.
    Near,
    /// What is near, and functions of the cluster that a person names, wherever it is.
    #[default]
    Cluster,
    /// All that a person owns.
    Anywhere,
}

/// A target that belongs to somebody else, as far as can be known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{target} is at {address}, which is neither this machine nor a private network: loading it without its owner's consent is an attack. If it is yours, start loadgen with --i-own-this-target, and so each worker of a fleet"
)]
pub struct Foreign {
    /// What was to be loaded.
    pub target: String,
    /// Where it is.
    pub address: SocketAddr,
}

/// Refuses a target one of whose places is neither loopback nor in a private network.
///
/// # Errors
/// The first such place.
pub fn check(target: &str, places: impl IntoIterator<Item = SocketAddr>) -> Result<(), Foreign> {
    match places.into_iter().find(|place| !is_near(place.ip())) {
        Some(address) => Err(Foreign { target: target.to_owned(), address }),
        None => Ok(()),
    }
}

fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_what_is_near_is_loaded() {
        let checked = |place: &str| check("it", [place.parse().unwrap()]);
        for near in ["127.0.0.1:1", "127.9.9.9:1", "10.1.2.3:1", "192.168.1.1:1", "172.31.0.1:1", "169.254.1.1:1"] {
            assert_eq!(checked(near), Ok(()));
        }
        for near in ["[::1]:1", "[fd00::1]:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert_eq!(checked(near), Ok(()));
        }
        for far in ["8.8.8.8:80", "172.32.0.1:1", "100.64.0.1:1", "[2001:db8::1]:1", "[::ffff:8.8.8.8]:1", "0.0.0.0:1"]
        {
            let error = checked(far).unwrap_err().to_string();
            assert!(error.contains("--i-own-this-target"), "{error}");
        }
        let one_of_them = ["127.0.0.1:1", "1.1.1.1:443"].map(|place| place.parse().unwrap());
        assert_eq!(check("it", one_of_them).unwrap_err().address, one_of_them[1]);
    }
}
