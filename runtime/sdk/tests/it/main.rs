//! The function server as a client and an operator meet it: real processes and sockets.

mod drain;
mod errors;
mod infer;
mod limits;
mod pages;
mod predict;
mod probe;
mod start;
