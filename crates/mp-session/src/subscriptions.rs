//! The subscriptions of one thing that an observer waits for.

use mp_sys::BorrowedSource;
use mp_wire::{Error, Result};

use crate::descriptors::DescriptorWatch;
use crate::observers::{GROUPS, Observer};
use crate::session::{Inner, Session};
use crate::waitable::{Sources, Waitable};

/// Where the subscriptions to a thing's wait words are. Most things have one.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    first: Option<u64>,
    others: Vec<u64>,
    descriptors: Vec<DescriptorWatch>,
}

impl Subscriptions {
    /// Subscribes to all words of a thing, which is the observer's number `index`: steps 1 and 2.
    pub(crate) fn to<W: Waitable + ?Sized>(
        session: &Session,
        observer: Observer,
        index: usize,
        thing: &W,
    ) -> Result<Subscriptions> {
        let mut sources = Sources::default();
        thing.sources(&mut sources);
        let inner = &session.0;
        let ground = &inner.ground;
        let mut made = Subscriptions::default();
        let group = index as u32 % GROUPS;
        for (source, interest) in sources.descriptors {
            match DescriptorWatch::new(inner, observer, group, source, interest) {
                Ok(watch) => made.descriptors.push(watch),
                Err(error) => {
                    made.end(inner, thing);
                    return Err(error);
                }
            }
        }
        for word in sources.words {
            let subscribed = if ground.offset_of(word) < ground.layout.size {
                inner.subscribe(observer, word, group)
            } else {
                Err(Error::InvalidArgument { detail: "waiting for a thing of another session".into() })
            };
            match subscribed {
                Ok(at) if made.first.is_none() => made.first = Some(at),
                Ok(at) => made.others.push(at),
                Err(error) => {
                    made.end(inner, thing);
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.first.into_iter().chain(self.others.iter().copied())
    }

    /// Step 5: whether somebody told of any of them since the last time.
    #[inline]
    pub(crate) fn take_told(&self, inner: &Inner) -> bool {
        // Each of them is to be taken, and not only the first that was told of.
        let told = self.iter().fold(false, |told, at| told | inner.take_told(at));
        self.descriptors.iter().fold(told, |told, watch| told | watch.take_told())
    }

    /// Asks for news of its descriptors, after the thing was found not ready.
    #[inline]
    pub(crate) fn ask<W: Waitable + ?Sized>(&self, thing: &W) -> Result<()> {
        if self.descriptors.is_empty() { Ok(()) } else { self.with_sources(thing, DescriptorWatch::ask) }
    }

    fn with_sources<W: Waitable + ?Sized, E>(
        &self,
        thing: &W,
        act: impl Fn(&DescriptorWatch, BorrowedSource<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut sources = Sources::default();
        thing.sources(&mut sources);
        self.descriptors
            .iter()
            .zip(sources.descriptors)
            .try_for_each(|(watch, (source, _))| act(watch, source))
    }

    /// Ends them.
    pub(crate) fn end<W: Waitable + ?Sized>(&self, inner: &Inner, thing: &W) {
        self.iter().for_each(|at| inner.unsubscribe(at));
        if !self.descriptors.is_empty() {
            let Ok(()) = self.with_sources(thing, |watch, source| {
                watch.end(source);
                Ok::<(), std::convert::Infallible>(())
            });
        }
    }
}
