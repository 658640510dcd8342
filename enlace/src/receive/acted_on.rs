//! Names of files on which programs act automatically. A received file does not get one: it would take part in whatever
//! the next program does in that directory or above it.
//!
//! Names that start with a dot are made visible elsewhere; these lists are for the others. They hold what common programs
//! load without being told the name, and cannot be complete.

/// Follows such a name.
pub(super) const SUFFIX: &str = ".received";

/// Whole names, in lower case.
const NAMES: &[&str] = &[
    // enlace and published connectors
    "config.json",
    // file managers
    "autorun.inf",
    "desktop.ini",
    "folder.htt",
    "thumbs.db",
    // logins
    "authorized_keys",
    "authorized_keys2",
    "known_hosts",
    // builds and package managers
    "bsdmakefile",
    "build.rs",
    "build.gradle",
    "build.gradle.kts",
    "cargo.toml",
    "cmakelists.txt",
    "cmakepresets.json",
    "cmakeuserpresets.json",
    "composer.json",
    "directory.build.props",
    "directory.build.rsp",
    "directory.build.targets",
    "directory.packages.props",
    "flake.nix",
    "gemfile",
    "gnumakefile",
    "go.work",
    "gradle.properties",
    "gruntfile.js",
    "gulpfile.js",
    "justfile",
    "makefile",
    "meson.build",
    "nuget.config",
    "package.json",
    "pip.conf",
    "pip.ini",
    "pipfile",
    "pom.xml",
    "pyproject.toml",
    "rakefile",
    "rust-toolchain",
    "rust-toolchain.toml",
    "setup.cfg",
    "setup.py",
    "taskfile.yaml",
    "taskfile.yml",
    // interpreters, tests and editors
    "conftest.py",
    "php.ini",
    "pytest.ini",
    "sitecustomize.py",
    "tox.ini",
    "usercustomize.py",
    "web.config",
    // containers and virtual machines
    "compose.yaml",
    "compose.yml",
    "containerfile",
    "docker-compose.yaml",
    "docker-compose.yml",
    "dockerfile",
    "jenkinsfile",
    "kustomization",
    "kustomization.yaml",
    "kustomization.yml",
    "procfile",
    "vagrantfile",
    // machines and infrastructure
    "ansible.cfg",
    "terraform.tfvars",
    "terraform.tfvars.json",
];

/// Extensions that a desktop or a loader acts on when it sees them, in lower case.
const EXTENSIONS: &[&str] = &[
    "desktop",
    "directory",
    "dll",
    "inetloc",
    "library-ms",
    "lnk",
    "local",
    "pth",
    "scf",
    "search-ms",
    "searchconnector-ms",
    "service",
    "tf",
    "theme",
    "url",
    "webloc",
    "website",
];

/// Longer endings of names, in lower case.
const ENDINGS: &[&str] = &[".auto.tfvars", ".auto.tfvars.json", ".tf.json"];

/// Whether a program would act on a file only because of this name.
pub(super) fn is_acted_on(name: &str) -> bool {
    let name = name.to_lowercase();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    NAMES.contains(&name.as_str())
        || extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_lower_case_and_do_not_hold_what_ends_with_the_suffix() {
        assert!(NAMES.iter().chain(EXTENSIONS).chain(ENDINGS).all(|text| text.to_lowercase() == *text));
        for name in NAMES {
            assert!(is_acted_on(name) && !is_acted_on(&format!("{name}{SUFFIX}")), "{name}");
        }
        for ending in ENDINGS {
            let name = format!("x{ending}");
            assert!(is_acted_on(&name) && !is_acted_on(&format!("{name}{SUFFIX}")), "{name}");
        }
        for name in ["Directory.Build.props", "main.tf", "x.auto.tfvars", "CMakePresets.json", "ansible.cfg", "go.work"]
        {
            assert!(is_acted_on(name), "{name}");
        }
        for extension in EXTENSIONS {
            let name = format!("x.{extension}");
            assert!(is_acted_on(&name) && !is_acted_on(&format!("{name}{SUFFIX}")), "{name}");
        }
    }
}
