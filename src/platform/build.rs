//! Links a module, whatever its world. Its stack is as large as it needs to be: a host that keeps memory for the next
//! instance, as Spin does, clears it whole after each request. The linker's own choice is 1 MiB.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=262144");
    // The profile's `strip` is lost where a package has an optimisation level of its own. Names would be a tenth of a
    // module.
    println!("cargo::rustc-link-arg-cdylib=--strip-all");
}
