//! The pages and the files that they load, compiled into the binary: plain HTML, CSS and JavaScript modules. They read
//! the stream's name from their own address, so nothing that a client sends is ever written into a page.

pub(super) mod asset;
mod html;
pub(super) mod problem;
pub(super) mod view;
