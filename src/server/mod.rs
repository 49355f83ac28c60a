//! The composition root: configuration, state, layers, listeners, jobs. Imports everything; nobody imports it, but for server
//! functions, which use `request_ctx`.

mod apart;
pub mod config;
pub mod device;
pub mod edge;
pub mod jobs;
pub mod last_form;
pub mod layers;
mod live;
pub mod metrics;
pub mod request_ctx;
pub mod run;
pub mod state;
pub mod telemetry;
