//! Who is shown the run page of each KVM_RUN that came back with an exit: whoever counts exits, with nothing to do for the machine.

use kvm_bindings::kvm_run;

/// Every watcher that is linked in, in no order.
#[linkme::distributed_slice]
pub static EXIT_WATCHERS: [fn(&kvm_run)];

/// Shows them a run page.
pub(super) fn show(run: &kvm_run) {
    for watch in EXIT_WATCHERS {
        watch(run);
    }
}

/// Adds a function to [`EXIT_WATCHERS`](crate::accel::kvm::EXIT_WATCHERS), in a crate of its own.
///
/// ```
/// fn watch(run: &kvm_bindings::kvm_run) {
///     println!("exit {}", run.exit_reason);
/// }
/// vmm::exit_watcher!(watch);
/// assert_eq!(vmm::accel::kvm::EXIT_WATCHERS.len(), 1);
/// ```
#[macro_export]
macro_rules! exit_watcher {
    ($watch:path) => {
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::accel::kvm::EXIT_WATCHERS)]
            #[linkme(crate = $crate::linkme)]
            static WATCH: fn(&$crate::accel::kvm::RunPage) = $watch;
        };
    };
}
