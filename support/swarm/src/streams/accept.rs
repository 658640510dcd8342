//! Agreement on one of several protocols.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use libp2p::StreamProtocol;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::InboundUpgrade;

/// The protocols whose streams are accepted, with the names that the application gave them.
#[derive(Clone, Debug)]
pub(crate) struct Accept(Arc<[(StreamProtocol, &'static str)]>);

impl Accept {
    pub(crate) fn new(protocols: Vec<(StreamProtocol, &'static str)>) -> Self {
        Self(protocols.into())
    }

    pub(crate) fn name(&self, agreed: &StreamProtocol) -> Option<&'static str> {
        self.0.iter().find(|(protocol, _)| protocol == agreed).map(|(_, name)| *name)
    }
}

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.iter().map(|(protocol, _)| protocol.clone()).collect::<Vec<_>>().into_iter()
    }
}

impl InboundUpgrade<libp2p::Stream> for Accept {
    type Output = (libp2p::Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: libp2p::Stream, agreed: StreamProtocol) -> Self::Future {
        ready(Ok((stream, agreed)))
    }
}
