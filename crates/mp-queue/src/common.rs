//! What all three handles have in common, written once.

/// Gives a handle the questions and `close`, asked of the channel that `$channel` names.
macro_rules! common_methods {
    ($handle:ident, $($channel:ident).+) => {
        impl<T> $handle<T> {
            /// How many messages are in the queue: put completely, and not taken (Python's `qsize`, which is exact here).
            ///
            /// It looks at each of them, so it costs as many steps. Others may put and get meanwhile.
            ///
            /// # Examples
            ///
            /// ```
            /// let queue = mp_queue::Queue::new()?;
            /// queue.put_many([1, 2, 3])?;
            /// assert_eq!(queue.len(), 3);
            /// # Ok::<(), mp_queue::Error>(())
            /// ```
            pub fn len(&self) -> usize {
                self.$($channel).+.len()
            }

            /// Whether there is no message in the queue (Python's `empty`).
            pub fn is_empty(&self) -> bool {
                !self.$($channel).+.has_any()
            }

            /// Whether a put would have to wait (Python's `full`). An unbounded queue never is.
            pub fn is_full(&self) -> bool {
                self.$($channel).+.is_full()
            }

            /// How many messages it can hold; `None` if it is unbounded.
            pub fn capacity(&self) -> Option<usize> {
                self.$($channel).+.capacity()
            }

            /// Whether somebody closed it. There may be messages in it all the same.
            pub fn is_closed(&self) -> bool {
                self.$($channel).+.is_closed()
            }

            /// Closes the queue for everybody (Python 3.13's `Queue.shutdown`).
            ///
            /// Every put that succeeded before counts, no later one does: it fails with [`Error::Closed`](crate::Error::Closed). What is in the queue can
            /// still be got, then gets fail with [`Error::Closed`](crate::Error::Closed), too. Who waits is woken. Closing twice is no error.
            ///
            /// # Errors
            ///
            /// [`Error::ForeignFork`](crate::Error::ForeignFork) in a process that does not take part in the session.
            ///
            /// # If a process dies
            ///
            /// A process killed in `close` has closed the queue or has not; nothing is in between.
            ///
            /// # Examples
            ///
            /// ```
            /// use mp_queue::{Error, Queue};
            ///
            /// let queue = Queue::new()?;
            /// queue.put(1)?;
            /// queue.close()?;
            /// assert!(matches!(queue.put(2), Err(Error::Closed { .. })));
            /// assert_eq!(queue.get()?, 1);
            /// assert!(matches!(queue.get(), Err(Error::Closed { .. })));
            /// # Ok::<(), Error>(())
            /// ```
            pub fn close(&self) -> Result<()> {
                self.$($channel).+.close()
            }
        }
    };
}

/// Gives a handle the putting and getting of the [`Queue`](crate::Queue) in its field `$queue`.
macro_rules! delegated_methods {
    ($handle:ident, $queue:ident) => {
        impl<T: Message> $handle<T> {
            /// As [`Sender::put`](crate::Sender::put).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn put(&self, value: T) -> Result<()> {
                self.$queue.put(value)
            }

            /// As [`Sender::try_put`](crate::Sender::try_put).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
                self.$queue.try_put(value)
            }

            /// As [`Sender::put_timeout`](crate::Sender::put_timeout).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
                self.$queue.put_timeout(value, timeout)
            }

            /// As [`Sender::put_many`](crate::Sender::put_many).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn put_many(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
                self.$queue.put_many(values)
            }

            /// As [`Receiver::get`](crate::Receiver::get).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn get(&self) -> Result<T> {
                self.$queue.get()
            }

            /// As [`Receiver::try_get`](crate::Receiver::try_get).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn try_get(&self) -> Result<T> {
                self.$queue.try_get()
            }

            /// As [`Receiver::get_timeout`](crate::Receiver::get_timeout).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
                self.$queue.get_timeout(timeout)
            }

            /// As [`Receiver::get_many`](crate::Receiver::get_many).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn get_many(&self, max: usize) -> Result<Vec<T>> {
                self.$queue.get_many(max)
            }

            /// As [`Receiver::iter`](crate::Receiver::iter). As this handle is a sender, too, only `close` ends it.
            pub fn iter(&self) -> Iter<'_, T> {
                self.$queue.iter()
            }

            /// As [`Receiver::get_async`](crate::Receiver::get_async).
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn get_async(&self) -> Result<T> {
                self.$queue.get_async().await
            }

            /// As [`Sender::put_async`](crate::Sender::put_async).
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn put_async(&self, value: T) -> Result<()> {
                self.$queue.put_async(value).await
            }
        }
    };
}

pub(crate) use {common_methods, delegated_methods};
