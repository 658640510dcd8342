//! Notifications: those to devices, with the event streams on which connected ones receive them, and those to followers of uploads.
//!
//! A notification says that there is something to fetch. It carries a name and no content, so losing one is harmless: the
//! device that receives the next one fetches everything. Queues are therefore short, and a full queue drops what is added.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::mpsc;
use transport::wire::{Address, DeviceId, UploadId};

/// Notifications waiting to be sent on one stream.
const QUEUE_LENGTH: usize = 16;
/// Streams of one device; a further one ends the oldest.
const MAX_PER_DEVICE: usize = 4;

/// The name of a notification, which is all that a device receives of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotificationName {
    /// The event stream is open.
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

impl NotificationName {
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

/// What a commit tells those who wait for it. Sent after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notification {
    /// For the devices of an identity.
    Devices(DeviceNotification),
    /// An upload has more bytes, has become a file, or is gone.
    Upload(UploadId),
}

/// A notification to the devices of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceNotification {
    pub(crate) receiver: Address,
    pub(crate) name: NotificationName,
    /// The device that caused it, and knows already.
    pub(crate) except: Option<DeviceId>,
}

impl Notification {
    /// For all devices of an identity.
    pub(crate) fn to_all(receiver: &Address, name: NotificationName) -> Self {
        Self::Devices(DeviceNotification { receiver: receiver.clone(), name, except: None })
    }

    /// For all devices of an identity but the one that caused it.
    pub(crate) fn to_others(receiver: &Address, name: NotificationName, cause: &DeviceId) -> Self {
        Self::Devices(DeviceNotification { receiver: receiver.clone(), name, except: Some(cause.clone()) })
    }
}

/// The open event streams of this process.
pub(crate) struct EventStreams(Mutex<HashMap<Address, Vec<Stream>>>);

struct Stream {
    device: DeviceId,
    sender: mpsc::Sender<NotificationName>,
}

impl EventStreams {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Opens a stream. It ends when the receiver is dropped or the sender side is.
    pub(crate) fn open(&self, address: &Address, device: &DeviceId) -> mpsc::Receiver<NotificationName> {
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
        // The queue is empty and holds more than one notification.
        let _ = sender.try_send(NotificationName::ConnectionOpened);
        streams.push(Stream { device: device.clone(), sender });
        receiver
    }

    /// Sends a notification on the streams of its receiver.
    pub(crate) fn send(&self, notification: &DeviceNotification) {
        let DeviceNotification { receiver, name, except } = notification;
        let mut streams = self.streams();
        let Some(own) = streams.get_mut(receiver) else { return };
        own.retain(|stream| !stream.sender.is_closed());
        for stream in own.iter().filter(|stream| except.as_ref() != Some(&stream.device)) {
            let _ = stream.sender.try_send(*name);
        }
        if own.is_empty() {
            streams.remove(receiver);
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
    fn the_device_that_caused_a_notification_does_not_receive_it() {
        let streams = EventStreams::new();
        let (mut first, mut second) = (streams.open(&address(), &device(1)), streams.open(&address(), &device(2)));
        let name = NotificationName::DatawalletModificationsCreated;
        streams.send(&DeviceNotification { receiver: address(), name, except: Some(device(1)) });
        assert_eq!(first.try_recv(), Ok(NotificationName::ConnectionOpened));
        assert!(first.try_recv().is_err());
        assert_eq!(second.try_recv(), Ok(NotificationName::ConnectionOpened));
        assert_eq!(second.try_recv(), Ok(NotificationName::DatawalletModificationsCreated));
    }

    #[test]
    fn streams_of_one_device_are_bounded_and_closed_ones_forgotten() {
        let streams = EventStreams::new();
        let receivers: Vec<_> = (0..=MAX_PER_DEVICE).map(|_| streams.open(&address(), &device(1))).collect();
        assert_eq!(streams.streams()[&address()].len(), MAX_PER_DEVICE);
        drop(receivers);
        let name = NotificationName::TokenLocked;
        streams.send(&DeviceNotification { receiver: address(), name, except: None });
        assert!(streams.streams().is_empty());
    }
}
