//! The members of a layer tar one after the other, decoded: what both readers of entries stand on.

use super::decode::{self, Decoded};
use super::entry::NamedStream;
use super::place::DataPlace;
use crate::error::{Limit, Result};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::source::Source;
use crate::tar;

pub(super) struct Framing {
    pub tar: tar::Reader,
    pub limits: Limits,
    policy: Policy,
    /// What was read ahead: the member that follows the last entry and its named streams.
    ahead: Option<Result<Head>>,
}

/// The member of an entry, without its named streams.
pub(super) struct Head {
    pub decoded: Decoded,
    pub place: DataPlace,
    /// Offset of its first header block.
    pub position: u64,
    /// Bytes of the global records before that block.
    pub globals: u64,
}

impl Framing {
    pub fn new(source: Source, policy: Policy, limits: &Limits) -> Result<Self> {
        let tar = tar::Reader::new(source, limits)?;
        Ok(Framing { tar, limits: limits.clone(), policy, ahead: None })
    }

    /// The member of the next entry.
    pub fn next(&mut self) -> Result<Option<Head>> {
        if let Some(head) = self.ahead.take() {
            return head.map(Some);
        }
        if !self.tar.advance()? {
            return Ok(None);
        }
        self.head().map(Some)
    }

    /// Goes to the member behind the current one; `false` at the end, or where the next entry was reached.
    pub fn advance(&mut self) -> Result<bool> {
        Ok(self.ahead.is_none() && self.tar.advance()?)
    }

    /// The current member as the next named stream of `owner`, which has `known` of them. Where it is none, it is kept
    /// as the member of the next entry.
    pub fn stream_of(&mut self, owner: &[u8], known: usize) -> Result<Option<NamedStream>> {
        let member = self.tar.member();
        let Some(name) = decode::stream_of(member, owner) else {
            self.ahead = Some(self.head());
            return Ok(None);
        };
        self.limits.check(Limit::Streams, known as u64 + 1).map_err(|e| e.in_member(owner))?;
        Ok(Some(NamedStream { name: name.to_vec(), size: member.real_size }))
    }

    /// Keeps an error for the next entry.
    pub fn fail_next(&mut self, error: crate::error::Error) {
        self.ahead = Some(Err(error));
    }

    fn head(&self) -> Result<Head> {
        let member = self.tar.member();
        let decoded = decode::decode(member, &self.policy, &self.limits)?;
        let (position, globals) = (member.position, member.globals);
        Ok(Head { decoded, place: DataPlace::of(member), position, globals })
    }
}
