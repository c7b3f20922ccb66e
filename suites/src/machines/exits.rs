//! Exits of our own machine's vCPUs, which are written down like those of bare KVM.

vmm::exit_watcher!(harness::ran);
