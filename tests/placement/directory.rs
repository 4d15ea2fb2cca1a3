//! What all nodes have read: values as the relay writes them, some time after they are written.

use sluice::cluster::{NodeId, View};
use sluice::name::StreamName;

#[derive(Default)]
pub(crate) struct Directory {
    pub(crate) view: View,
    revision: u64,
}

pub(crate) fn stream() -> StreamName {
    "cam".parse().unwrap()
}

pub(crate) fn id(node: usize) -> NodeId {
    format!("n{node}").parse().unwrap()
}

pub(crate) fn number(node: &NodeId) -> usize {
    node.to_string()[1..].parse().unwrap()
}

impl Directory {
    pub(crate) fn node(&mut self, node: usize, region: usize, load: f32, legs: usize) {
        let text = format!(
            r#"{{"v":1,"inc":1,"gen":1,"url":"http://n{node}","region":"r{region}","load":{load},"legs":{legs}}}"#
        );
        self.write(&format!("n.n{node}"), Some(text));
    }

    pub(crate) fn expire(&mut self, node: usize) {
        self.write(&format!("n.n{node}"), None);
    }

    pub(crate) fn claim(&mut self, node: usize, epoch: u64) {
        let text = format!(
            r#"{{"v":1,"node":"n{node}","inc":1,"epoch":{epoch},"started":{epoch},"nonce":1,"url":"http://n{node}"}}"#
        );
        self.write("s.cam", Some(text));
    }

    /// The epoch, the hops and the parent of a node that pulls the stream; none if it does not.
    pub(crate) fn carries(&mut self, node: usize, carried: Option<(u64, usize, usize)>) {
        let text = carried.map(|(epoch, hops, parent)| {
            let carried = format!(r#"{{"stream":"cam","epoch":{epoch},"hops":{hops},"parent":"n{parent}"}}"#);
            format!(r#"{{"v":1,"inc":1,"url":"http://n{node}","carries":[{carried}]}}"#)
        });
        self.write(&format!("c.n{node}"), text);
    }

    fn write(&mut self, key: &str, value: Option<String>) {
        self.revision += 1;
        self.view.read(key, value.map(Into::into), self.revision);
    }
}
