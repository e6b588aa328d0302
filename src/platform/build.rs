//! Makes the stack of a module as large as it needs to be, whatever its world: a host that keeps memory for the next
//! instance, as Spin does, clears it whole after each request. The linker's own choice is 1 MiB.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=262144");
}
