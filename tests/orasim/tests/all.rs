//! All tests of the simulated database, as one program.

mod accounts;
mod behave;
mod fixed;
mod idle;
mod kill;
mod packages;
mod reality;
mod sql;
mod user_locks;
mod wire_clients;
mod wire_oci;
mod wire_thin;
mod world_thin;
