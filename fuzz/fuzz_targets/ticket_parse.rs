//! What the environment says of a session is a ticket, which then reads as it is written, or is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_process::fuzzing::server_variable;
use mp_session::{CellState, Error, MemberId, Ticket};

fuzz_target!(|bytes: &[u8]| {
    if let Some(word) = bytes.first_chunk::<8>() {
        let bits = u64::from_le_bytes(*word);
        assert_eq!(MemberId::from_bits(MemberId::from_bits(bits).to_bits()), MemberId::from_bits(bits));
        let state = CellState::unpack(bits);
        assert_eq!(CellState::unpack(state.pack()), state);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match bounded(bytes.len(), || Ticket::parse(text)) {
        Ok(ticket) => assert_eq!(Ticket::parse(&ticket.to_text()), Ok(ticket)),
        Err(error) => assert!(matches!(error, Error::Forged { .. })),
    }
    if let Err(error) = bounded(bytes.len(), || server_variable(text)) {
        assert!(matches!(error, Error::Forged { .. }));
    }
});
