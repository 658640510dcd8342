//! Telling connected devices that something happened: the open event streams.
//!
//! Streams carry names, never contents, and losing a name is harmless: the device that gets the next one finds
//! everything. So queues are short, and a full one drops what comes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::mpsc;
use transport::wire::{Address, DeviceId};

/// Names waiting to be sent on one stream.
const QUEUE_LENGTH: usize = 16;
/// Streams of one device; a further one ends the oldest.
const MAX_PER_DEVICE: usize = 4;

/// What a device is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The stream is open.
    ConnectionOpened,
    /// There is a new external event.
    ExternalEventCreated,
    /// Another device pushed to the datawallet.
    DatawalletModificationsCreated,
    /// A token of the identity was locked.
    TokenLocked,
    /// Somebody logged in with the backup device.
    BackupDeviceUsed,
}

impl News {
    /// The name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConnectionOpened => "ConnectionOpened",
            Self::ExternalEventCreated => "ExternalEventCreated",
            Self::DatawalletModificationsCreated => "DatawalletModificationsCreated",
            Self::TokenLocked => "TokenLocked",
            Self::BackupDeviceUsed => "BackupDeviceUsed",
        }
    }
}

/// Somebody to be told after a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) to: Address,
    pub(crate) news: News,
    pub(crate) except: Option<DeviceId>,
}

impl Notice {
    /// For all devices of an identity.
    pub(crate) fn to_all(to: &Address, news: News) -> Self {
        Self { to: to.clone(), news, except: None }
    }
}

/// The open streams of this process.
pub(crate) struct Hub(Mutex<HashMap<Address, Vec<Stream>>>);

struct Stream {
    device: DeviceId,
    sender: mpsc::Sender<News>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Opens a stream. It ends when the receiver is dropped or the sender side is.
    pub(crate) fn open(&self, address: &Address, device: &DeviceId) -> mpsc::Receiver<News> {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        let mut streams = self.streams();
        let streams = streams.entry(address.clone()).or_default();
        streams.retain(|stream| !stream.sender.is_closed());
        let own = streams.iter().filter(|stream| stream.device == *device).count();
        if own >= MAX_PER_DEVICE
            && let Some(oldest) = streams.iter().position(|stream| stream.device == *device)
        {
            streams.remove(oldest);
        }
        // The queue is empty and holds more than one name.
        let _ = sender.try_send(News::ConnectionOpened);
        streams.push(Stream { device: device.clone(), sender });
        receiver
    }

    /// Tells all devices of an identity, except one.
    pub(crate) fn tell(&self, notice: &Notice) {
        let Notice { to, news, except } = notice;
        let mut streams = self.streams();
        let Some(own) = streams.get_mut(to) else { return };
        own.retain(|stream| !stream.sender.is_closed());
        for stream in own.iter().filter(|stream| except.as_ref() != Some(&stream.device)) {
            let _ = stream.sender.try_send(*news);
        }
        if own.is_empty() {
            streams.remove(to);
        }
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        self.streams().clear();
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<Address, Vec<Stream>>> {
        self.0.lock().expect("no code panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef".parse().unwrap()
    }

    fn device(number: u8) -> DeviceId {
        format!("DVCaaaaaaaaaaaaaaaa{number}").parse().unwrap()
    }

    #[test]
    fn the_device_that_caused_the_news_is_left_out() {
        let hub = Hub::new();
        let (mut first, mut second) = (hub.open(&address(), &device(1)), hub.open(&address(), &device(2)));
        let news = News::DatawalletModificationsCreated;
        hub.tell(&Notice { to: address(), news, except: Some(device(1)) });
        assert_eq!(first.try_recv(), Ok(News::ConnectionOpened));
        assert!(first.try_recv().is_err());
        assert_eq!(second.try_recv(), Ok(News::ConnectionOpened));
        assert_eq!(second.try_recv(), Ok(News::DatawalletModificationsCreated));
    }

    #[test]
    fn streams_of_one_device_are_bounded_and_closed_ones_forgotten() {
        let hub = Hub::new();
        let streams: Vec<_> = (0..=MAX_PER_DEVICE).map(|_| hub.open(&address(), &device(1))).collect();
        assert_eq!(hub.streams()[&address()].len(), MAX_PER_DEVICE);
        drop(streams);
        hub.tell(&Notice::to_all(&address(), News::TokenLocked));
        assert!(hub.streams().is_empty());
    }
}
