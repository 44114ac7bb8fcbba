//! The releases that `bench delta` compares, pinned by version and by the digest of what is compared.

/// One release.
pub(super) struct Release {
    pub(super) version: &'static str,
    pub(super) sha256: &'static str,
}

/// Two successive releases of one thing.
pub(super) struct Pair {
    pub(super) name: &'static str,
    pub(super) source: Source,
    /// What of the package is compared; the whole tar if empty.
    pub(super) member: &'static str,
    pub(super) old: Release,
    pub(super) new: Release,
}

#[derive(Clone, Copy)]
pub(super) enum Source {
    /// A wheel of PyPI: the package and the platforms.
    Wheel(&'static str, &'static [&'static str]),
    /// A package of npm.
    Npm(&'static str),
}

const LINUX_X64: &[&str] = &["manylinux_2_17_x86_64", "manylinux2014_x86_64"];
const LINUX_ARM: &[&str] = &["manylinux_2_17_aarch64", "manylinux2014_aarch64"];
const WINDOWS: &[&str] = &["win_amd64"];

const fn release(version: &'static str, sha256: &'static str) -> Release {
    Release { version, sha256 }
}

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        name: "esbuild, ELF x86-64 (Go)",
        source: Source::Npm("@esbuild/linux-x64"),
        member: "package/bin/esbuild",
        old: release(
            "0.28.1",
            "0c6588b092a2c291a72bab90659f3c9e0e25e0fe59c9ac12b4dae4d945e5548c",
        ),
        new: release(
            "0.28.2",
            "e1698a3d5c6c0798fee4fd3b5cc816651f460c63d390a7a26ea4beb0b1884100",
        ),
    },
    Pair {
        name: "ruff, ELF x86-64 (Rust)",
        source: Source::Wheel("ruff", LINUX_X64),
        member: "/ruff",
        old: release(
            "0.17.4",
            "4ef33997b4bb7c5f141527e90b2da0abe918108362ca1b9825c4d13adce0e347",
        ),
        new: release(
            "0.17.5",
            "fd6368438e0e10bb2c30a9a2782ddb7866de4828490e51d6f18808a2569dd6c2",
        ),
    },
    Pair {
        name: "ruff, ELF AArch64 (Rust)",
        source: Source::Wheel("ruff", LINUX_ARM),
        member: "/ruff",
        old: release(
            "0.17.4",
            "d2f0e1d536b4b52cefdda7eea3af0af4f107d57badc12b20ead1968bb6b45542",
        ),
        new: release(
            "0.17.5",
            "0ed0475e21ff8ef06e2705dc2040585bbfec8cbbbb60cf83492635cd853247f4",
        ),
    },
    Pair {
        name: "ruff, PE x86-64 (Rust)",
        source: Source::Wheel("ruff", WINDOWS),
        member: "/ruff.exe",
        old: release(
            "0.17.4",
            "0e71094b51a4241cb725e76e6375c55c8433dd06ec380ab987c970edd1618565",
        ),
        new: release(
            "0.17.5",
            "42d112b27bbbe243d1666058ba361adc3c388a2b6810481f01f910e8bf29ea39",
        ),
    },
    Pair {
        name: "uv, ELF x86-64 (Rust)",
        source: Source::Wheel("uv", LINUX_X64),
        member: "/uv",
        old: release(
            "0.13.7",
            "4b5e59bc557ff2cd70934beb59d0eaa92820702853d49f0066b50aa11a8f0c52",
        ),
        new: release(
            "0.13.8",
            "4a7607589912d9c20e86b860b032f7c7f2913c9a3e76f46aef136885387452b8",
        ),
    },
    Pair {
        name: "prettier, tar of JavaScript",
        source: Source::Npm("prettier"),
        member: "",
        old: release(
            "3.10.0",
            "d83faf4ec1c12568cdfe33f5d2e84fffa86458335869b81fee3e9c20c71a4b05",
        ),
        new: release(
            "3.10.1",
            "4885b4bdf089f8a357177aad15d905103cc933b7b608aeca7c740dde27051d4e",
        ),
    },
];
