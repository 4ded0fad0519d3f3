//! Names of slots: an index and the generation that tells today's user of the slot from yesterday's.

use std::fmt;

/// A thread of the session, packed into 48 bits: `generation(32) | index + 1 (16)`. Zero is nobody.
///
/// It fits beside 16 bits of state in one atomic word, which is how a lock or a queue slot names its owner in the same
/// compare-and-swap that takes it. A slot whose generation has moved on means that the owner is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadId(u64);

impl ThreadId {
    /// Nobody.
    pub const NONE: ThreadId = ThreadId(0);
    /// How many low bits of a word an id takes.
    pub const BITS: u32 = 48;

    pub(crate) fn new(index: u32, generation: u32) -> ThreadId {
        ThreadId(u64::from(generation) << 16 | u64::from(index + 1))
    }

    /// The id in the low 48 bits of `word`.
    #[inline]
    pub fn from_bits(word: u64) -> ThreadId {
        ThreadId(word & ((1 << Self::BITS) - 1))
    }

    /// The id as the low 48 bits of a word.
    #[inline]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether it names nobody.
    #[inline]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn index(self) -> Option<u32> {
        (self.0 as u16).checked_sub(1).map(u32::from)
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index() {
            Some(index) => write!(f, "thread {index}.{}", self.generation()),
            None => f.write_str("nobody"),
        }
    }
}

/// A process of the session: slot and generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl MemberId {
    /// Which of the session's places for processes it has: below [`Session::member_limit`](crate::Session::member_limit).
    pub fn index(self) -> u32 {
        self.index
    }

    /// The id as one word, for handing it to a child process.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The reverse of [`MemberId::to_bits`].
    pub fn from_bits(bits: u64) -> MemberId {
        MemberId { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {}.{}", self.index, self.generation)
    }
}

/// What an object is. Values below 256 belong to mp's crates, the rest is free for others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Kind(pub u16);

impl Kind {
    /// A message: bytes and the references that they carry.
    pub const MESSAGE: Kind = Kind(1);
    /// A block of plain bytes.
    pub const BLOCK: Kind = Kind(2);
    /// [`CancelToken`](crate::CancelToken).
    pub const CANCEL_TOKEN: Kind = Kind(3);
    /// `mp_sync::Lock`.
    pub const LOCK: Kind = Kind(16);
    /// `mp_sync::Mutex`.
    pub const MUTEX: Kind = Kind(17);
    /// `mp_sync::RLock`.
    pub const RLOCK: Kind = Kind(18);
    /// `mp_sync::Semaphore`.
    pub const SEMAPHORE: Kind = Kind(19);
    /// `mp_sync::BoundedSemaphore`.
    pub const BOUNDED_SEMAPHORE: Kind = Kind(20);
    /// `mp_sync::Event`.
    pub const EVENT: Kind = Kind(21);
    /// `mp_sync::Condition`.
    pub const CONDITION: Kind = Kind(22);
    /// `mp_sync::Barrier`.
    pub const BARRIER: Kind = Kind(23);
    /// `mp_sync::RwLock`.
    pub const RW_LOCK: Kind = Kind(24);
    /// `mp_sync::Once`.
    pub const ONCE: Kind = Kind(25);
    /// `mp_sync::OnceLock`.
    pub const ONCE_LOCK: Kind = Kind(26);
    /// `mp_queue` queues.
    pub const QUEUE: Kind = Kind(32);
    /// `mp_pipe` pipes.
    pub const PIPE: Kind = Kind(40);
    /// `mp_shared::Value`.
    pub const VALUE: Kind = Kind(48);
    /// `mp_shared::Array`.
    pub const ARRAY: Kind = Kind(49);
    /// `mp_shared::RawValue` and `RawArray`.
    pub const RAW: Kind = Kind(50);
    /// `mp_shared::SharedVec`.
    pub const VEC: Kind = Kind(51);
    /// `mp_shared::ShareableList`.
    pub const LIST: Kind = Kind(52);
    /// `mp_shared::SharedMemory`.
    pub const MEMORY: Kind = Kind(53);
    /// The leases of an array.
    pub const LEASES: Kind = Kind(54);
    /// `mp_pool` pools.
    pub const POOL: Kind = Kind(64);
    /// What `mp_manager`'s containers are made of.
    pub const SHELF: Kind = Kind(72);
    /// `mp_manager::Dict`.
    pub const DICT: Kind = Kind(73);
    /// `mp_manager::List`.
    pub const MANAGED_LIST: Kind = Kind(74);
    /// `mp_manager::Set`.
    pub const SET: Kind = Kind(75);
    /// `mp_manager::Namespace`.
    pub const NAMESPACE: Kind = Kind(76);
    /// `mp_manager::Value`.
    pub const MANAGED_VALUE: Kind = Kind(77);
    /// `mp_manager::Array`.
    pub const MANAGED_ARRAY: Kind = Kind(78);

    /// The name for error messages.
    pub fn name(self) -> String {
        match self {
            Kind::MESSAGE => "message".into(),
            Kind::BLOCK => "block".into(),
            Kind::CANCEL_TOKEN => "CancelToken".into(),
            Kind::LOCK => "Lock".into(),
            Kind::MUTEX => "Mutex".into(),
            Kind::RLOCK => "RLock".into(),
            Kind::SEMAPHORE => "Semaphore".into(),
            Kind::BOUNDED_SEMAPHORE => "BoundedSemaphore".into(),
            Kind::EVENT => "Event".into(),
            Kind::CONDITION => "Condition".into(),
            Kind::BARRIER => "Barrier".into(),
            Kind::RW_LOCK => "RwLock".into(),
            Kind::ONCE => "Once".into(),
            Kind::ONCE_LOCK => "OnceLock".into(),
            Kind::QUEUE => "Queue".into(),
            Kind::PIPE => "Pipe".into(),
            Kind::VALUE => "Value".into(),
            Kind::ARRAY => "Array".into(),
            Kind::RAW => "raw value or array".into(),
            Kind::VEC => "SharedVec".into(),
            Kind::LIST => "ShareableList".into(),
            Kind::MEMORY => "SharedMemory".into(),
            Kind::LEASES => "leases of an array".into(),
            Kind::SHELF => "part of a container".into(),
            Kind::DICT => "Dict".into(),
            Kind::MANAGED_LIST => "List".into(),
            Kind::SET => "Set".into(),
            Kind::NAMESPACE => "Namespace".into(),
            Kind::MANAGED_VALUE => "manager's Value".into(),
            Kind::MANAGED_ARRAY => "manager's Array".into(),
            Kind::POOL => "Pool".into(),
            Kind(other) => format!("object of kind {other}"),
        }
    }
}

/// In which role a reference is held. An object counts its references by role; a queue's end is told that the other
/// role is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// The first (and for most kinds the only) role; a queue's senders.
    First = 0,
    /// The second role; a queue's receivers.
    Second = 1,
}

impl Role {
    pub(crate) fn from_bit(bit: u64) -> Role {
        if bit & 1 == 0 { Role::First } else { Role::Second }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_packing() {
        let id = ThreadId::new(16_382, u32::MAX);
        assert_eq!(ThreadId::from_bits(id.to_bits() | 0xABCD << 48), id);
        assert_eq!((id.index(), id.generation()), (Some(16_382), u32::MAX));
        assert!(ThreadId::NONE.is_none() && ThreadId::NONE.index().is_none());
        let m = MemberId { index: 7, generation: 9 };
        assert_eq!(MemberId::from_bits(m.to_bits()), m);
    }
}
