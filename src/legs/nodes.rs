//! What the tasks that pull streams of other nodes share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::node_leg::NodeLeg;
use super::report::{Listed, Report};
use crate::cluster::{Calls, Carried};
use crate::name::StreamName;

/// What the edges share. In an `Arc`.
pub(super) struct Nodes {
    pub(super) context: Arc<Context>,
    pub(super) calls: Arc<Calls>,
    carried: Mutex<BTreeMap<StreamName, Carried>>,
    /// The streams that are pulled now.
    reports: Mutex<BTreeMap<StreamName, Arc<Report>>>,
}

impl Nodes {
    pub(super) fn new(context: Arc<Context>, calls: Arc<Calls>) -> Self {
        Self { context, calls, carried: Mutex::default(), reports: Mutex::default() }
    }

    /// Notes by which leg this node has a stream, or that it has it from no other node any more.
    pub(super) fn carry(&self, stream: &StreamName, leg: Option<&NodeLeg>) {
        self.calls.set_path(stream, leg.map(|leg| leg.path.clone()));
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        match leg {
            Some(leg) => {
                let (epoch, hops, parent) = (leg.epoch, leg.hops(), leg.parent.clone());
                carried.insert(stream.clone(), Carried { stream: stream.clone(), epoch, hops, parent });
            }
            None => drop(carried.remove(stream)),
        }
        self.context.directory.set_carried(carried.values().cloned().collect());
    }

    /// Notes that a stream is pulled, or that it is no more.
    pub(super) fn note(&self, stream: &StreamName, report: Option<&Arc<Report>>) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        match report {
            Some(report) => drop(reports.insert(stream.clone(), Arc::clone(report))),
            None => drop(reports.remove(stream)),
        }
    }

    /// Each stream that is pulled now.
    pub(super) fn list(&self) -> Vec<Listed> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).values().map(|report| report.list()).collect()
    }
}
