//! Builds `expectations/*.toml` and `regressions/*.json` into the suite; a broken file fails the build.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut code = String::new();
    for file in files(&root.join("expectations"), "toml")? {
        reports::Known::parse(&name(&file), &fs::read_to_string(&file)?)?;
        register(&mut code, "EXPECTATIONS", &file)?;
    }
    for file in files(&root.join("regressions"), "json")? {
        reports::Regression::parse(&name(&file), &fs::read_to_string(&file)?)?;
        register(&mut code, "REGRESSIONS", &file)?;
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("shipped.rs"), code)?;
    Ok(())
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|is| is == extension) {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn name(path: &Path) -> String {
    let mut parts: Vec<_> = path.iter().rev().take(3).map(|part| part.to_string_lossy()).collect();
    parts.reverse();
    parts.join("/")
}

fn register(code: &mut String, slice: &str, path: &Path) -> std::fmt::Result {
    writeln!(
        code,
        "const _: () = {{
            #[harness::linkme::distributed_slice(harness::{slice})]
            #[linkme(crate = harness::linkme)]
            static SHIPPED: harness::Shipped = harness::Shipped {{ name: {:?}, text: include_str!({:?}) }};
        }};",
        name(path),
        path.display().to_string(),
    )
}
