//! Links the settings of the allocator into the program `enlace`.

fn main() {
    println!("cargo:rerun-if-changed=src/allocator.c");
    let is_glibc = std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu")
        && std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if is_glibc {
        for object in cc::Build::new().file("src/allocator.c").compile_intermediates() {
            // As an object and not as a library, of which the linker would take only what somebody calls.
            println!("cargo:rustc-link-arg-bin=enlace={}", object.display());
        }
    }
}
