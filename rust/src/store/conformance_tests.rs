//! The conformance suite on the portable backend.

use super::StoreOptions;
use super::conformance::CHECKS;
use crate::backend::portable::Portable;
use std::sync::Arc;

fn run(options: &StoreOptions) {
    for (name, check) in CHECKS {
        println!("{name}");
        check(&|home, driver, options| Arc::new(Portable::open(home, &options.of_backend(driver)).unwrap()), options);
    }
}

#[test]
fn portable_conforms() {
    run(&StoreOptions::default());
}

#[test]
fn portable_conforms_without_fsync() {
    run(&StoreOptions { fsync: false, ..Default::default() });
}
