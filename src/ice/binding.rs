//! Binding requests without credentials (RFC 8489 2): the answer names the address that the request came from. The
//! relay sends them to STUN servers, and with `--stun` it answers those of clients.

use std::net::SocketAddr;

use super::stun::{self, BINDING_REQUEST, BINDING_SUCCESS, Class, StunMessage, Transaction, XOR_MAPPED_ADDRESS};

/// A Binding request without attributes, of 20 octets.
pub(crate) fn request(transaction: &Transaction) -> Vec<u8> {
    stun::begin(BINDING_REQUEST, transaction)
}

/// The answer with the address that a request came from and nothing else: 32 octets for IPv4, 44 for IPv6.
pub(crate) fn answer(transaction: &Transaction, remote: SocketAddr) -> Vec<u8> {
    let mut message = stun::begin(BINDING_SUCCESS, transaction);
    stun::write_xor_address(&mut message, XOR_MAPPED_ADDRESS, remote);
    stun::finish_unsigned(message)
}

/// The address in the success answer to the request with this transaction id; `None` for any other datagram.
pub(crate) fn mapped_address(datagram: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let message = StunMessage::parse(datagram)?;
    if message.class != Class::Success || message.transaction != *transaction {
        return None;
    }
    let mapped = message.attributes().find(|attribute| attribute.kind == XOR_MAPPED_ADDRESS)?;
    stun::read_xor_address(mapped.value, transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: Transaction = *b"transaction!";

    #[test]
    fn an_answer_is_12_or_24_octets_longer_than_the_shortest_request_and_names_the_address() {
        let request = request(&TRANSACTION);
        assert!(StunMessage::parse(&request).is_some_and(|it| it.class == Class::Request && !it.is_signed()));
        for (remote, more) in [("203.0.113.7:4711", 12), ("[2001:db8::7]:4711", 24)] {
            let remote: SocketAddr = remote.parse().unwrap();
            let answer = answer(&TRANSACTION, remote);
            assert_eq!(answer.len(), request.len() + more);
            assert_eq!(mapped_address(&answer, &TRANSACTION), Some(remote));
            assert_eq!(mapped_address(&answer, b"another one!"), None);
        }
    }

    #[test]
    fn an_answer_that_is_cut_or_of_another_family_names_no_address() {
        let whole = answer(&TRANSACTION, "203.0.113.7:4711".parse().unwrap());
        for length in 0..whole.len() {
            assert_eq!(mapped_address(&whole[..length], &TRANSACTION), None);
        }
        let mut other = whole.clone();
        other[25] = 3;
        assert_eq!(mapped_address(&other, &TRANSACTION), None);
        let mut six = whole;
        six[25] = 2;
        assert_eq!(mapped_address(&six, &TRANSACTION), None);
    }
}
