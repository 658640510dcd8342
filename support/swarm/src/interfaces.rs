//! The networks that this host is directly connected to.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use if_watch::IpNet;

/// Subnets of the local interfaces, kept up to date by the driver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interfaces(Arc<RwLock<Vec<IpNet>>>);

impl Interfaces {
    pub(crate) fn replace(&self, subnets: Vec<IpNet>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = subnets;
    }

    /// Whether a host is in one of the subnets.
    pub(crate) fn reach(&self, ip: IpAddr) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().any(|subnet| subnet.contains(&ip))
    }
}
