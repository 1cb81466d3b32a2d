use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::*;

/// A text that does not get much smaller.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..n).map(|_| next()).collect()
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    ZlibDecoder::new(bytes).read_to_end(&mut all).unwrap();
    all
}

#[test]
fn an_address_has_transport_host_and_port() {
    for good in ["udp://127.0.0.1:12201", "tcp://graylog.internal:12201", "udp://[::1]:12201"] {
        assert_eq!(good.parse::<Server>().unwrap().to_string(), good);
    }
    for bad in ["", "graylog:12201", "http://graylog:12201", "udp://graylog", "udp://:12201", "tcp://graylog:0"] {
        assert!(bad.parse::<Server>().is_err(), "{bad} was accepted");
    }
}

#[test]
fn what_fits_one_datagram_is_sent_as_it_is() {
    let message = noise(DATAGRAM_BYTES);
    assert_eq!(datagrams(&message, 1).unwrap(), [message]);
}

#[test]
fn what_fits_one_datagram_once_it_is_compressed_is_one() {
    let message = vec![b'x'; 100_000];
    let sent = datagrams(&message, 1).unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(inflated(&sent[0]), message);
}

#[test]
fn what_is_larger_is_sent_in_chunks_of_the_compressed_message() {
    let message = noise(100_000);
    let sent = datagrams(&message, 0x0102_0304_0506_0708).unwrap();
    let count = u8::try_from(sent.len()).unwrap();
    assert!(count > 70, "{count}");
    let mut packed = Vec::new();
    for (number, chunk) in (0..).zip(&sent) {
        assert!(chunk.len() <= DATAGRAM_BYTES);
        assert_eq!(chunk[..12], [0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, number, count]);
        packed.extend_from_slice(&chunk[12..]);
    }
    assert_eq!(inflated(&packed), message);
}

#[test]
fn what_takes_too_many_chunks_is_refused() {
    assert!(datagrams(&noise(DATAGRAM_BYTES * 129), 1).is_err());
}
