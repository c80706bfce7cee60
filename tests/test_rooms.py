"""The rooms of rust/src use each other in one direction only, and the check finds every way to break that."""

from pathlib import Path

import pytest
import rooms

# A small crate that keeps the rules, and comes close to breaking them where that is allowed.
TREE = {
    "lib.rs": "mod error;\nmod fs;\nmod limits;\nmod nt;\npub mod store;\n",
    "error.rs": """
        //! See [`crate::store::Store`].
        /* use crate::store::Store; */
        pub struct Error(pub &'static str, pub char);
        pub fn error() -> Error { Error("use crate::store; // not \\" a comment", '"') }
        macro_rules! closed { ($($t:tt)*) => { $crate::error::error() } }
        pub(crate) use closed;
        #[cfg(test)]
        mod tests { use crate::store::Store; #[cfg(windows)] fn f() { crate::store::open(); } }
    """,
    "limits.rs": "use crate::error::{self, Error as E};\npub struct Limits;\n",
    "nt/mod.rs": """
        pub mod name;
        mod sid;
        mod bytes { use super::super::error; pub type E = error::Error; }
        pub use sid::Sid;
        pub const SIZE: usize = 4;
        #[cfg(all(test, unix))]
        #[path = "name_tests.rs"]
        mod more;
        #[cfg(test)]
        mod tests;
    """,
    "nt/name.rs": "use super::{SIZE, Sid, bytes};\nfn name(_: Sid) -> super::bytes::E { crate::error::closed!() }\n",
    "nt/sid.rs": "pub struct Sid;\n",
    "nt/name_tests.rs": "use crate::store::*;\n",
    "nt/tests.rs": "use crate::store::Store;\nmod deeper;\n",
    "nt/tests/deeper.rs": "use crate::store::Store;\n",
    "fs/mod.rs": "#[cfg(unix)]\npub fn read() { std::os::unix::fs::symlink; }\npub use crate::nt::name;\n",
    "store/mod.rs": "pub struct Store;\npub fn open() {}\nuse crate::{fs::{self, name::name}, nt::{Sid, name as n}};\n",
}
HOUSE = rooms.House(
    floors=[["error", "limits"], ["nt"], ["fs"], ["store"]],
    sideways={"limits -> error": "a bound that is exceeded is an error"},
    system={"fs": "the disk"},
)


def faults(folder: Path, changed: dict[str, str], house: rooms.House = HOUSE) -> list[str]:
    """Make the tree with lines added to some of its files, and list what is wrong with it."""
    for name in {**TREE, **changed}:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TREE.get(name, "") + changed.get(name, ""), encoding="utf-8")
    return rooms.faults(folder, house)


def test_the_rooms_of_this_crate() -> None:
    found = rooms.faults(rooms.SOURCE, rooms.HOUSE)
    assert not found, "\n".join(found)


def test_a_tree_that_keeps_the_rules(tmp_path: Path) -> None:
    assert faults(tmp_path, {}) == []


UP = "nt -> store goes up"


@pytest.mark.parametrize(
    ("file", "added", "line", "fault"),
    [
        ("nt/sid.rs", "use crate::store::Store;", 2, UP),
        ("nt/sid.rs", "pub(crate) use crate::store;", 2, UP),
        (
            "nt/sid.rs",
            "use crate::{\n    error::{self, Error},\n    store::{\n        Store as Shop,\n    },\n};",
            5,
            UP,
        ),
        ("nt/sid.rs", "use {crate::error, crate::store};", 2, UP),
        ("nt/sid.rs", "use super::super::store::Store;", 2, UP),
        ("nt/sid.rs", "fn f() { crate::store::open() }", 2, UP),
        ("nt/sid.rs", "fn f() {\n    super::super::store::open()\n}", 3, UP),
        ("nt/sid.rs", "impl From<Sid> for crate :: store :: Store {}", 2, UP),
        ("nt/sid.rs", "mod inner { mod inmost { use super::super::super::super::store::open; } }", 2, UP),
        ("nt/sid.rs", "#[cfg(not(test))]\nuse crate::store::Store;", 3, UP),
        ("nt/sid.rs", "fn f<'a>(c: &'a char) -> bool { *c == '\"' && crate::store::is(c) && *c == '\"' }", 2, UP),
        ("nt/sid.rs", 'const A: &str = r#"a " quote"#; use crate::store; const B: &str = "";', 2, UP),
        ("nt/sid.rs", "macro_rules! m { () => { $crate::store::open() } }", 2, UP),
        ("nt/sid.rs", "#[cfg(test)]\nmod tests { fn f() { {} } }\nuse crate::store;", 4, UP),
        ("error.rs", "use crate::nt::Sid;", 10, "error -> nt goes up"),
        ("error.rs", "use crate::limits::Limits;", 10, "error -> limits goes sideways"),
        ("nt/sid.rs", "use crate::root_item;", 2, "nt -> lib.rs goes up"),
    ],
)
def test_an_arrow_that_is_not_allowed(tmp_path: Path, file: str, added: str, line: int, fault: str) -> None:
    found = faults(tmp_path, {file: f"{added}\n"})
    assert [other for other in found if "circle" not in other] == [f"{file}:{line}: {fault}"]


def test_a_macro_of_a_higher_room_without_a_path(tmp_path: Path) -> None:
    changed = {"store/mod.rs": "macro_rules! shop { () => {} }\n", "nt/sid.rs": "shop!();\n"}
    assert f"nt/sid.rs:2: {UP}" in faults(tmp_path, changed)


@pytest.mark.parametrize(
    ("sid", "name"),
    [
        ("use super::name::name;", ""),
        ("use crate::nt::name;", ""),
        ("fn f() { super::name::name(Sid) }", ""),
        # By way of the parent, which takes the name from the other one; and by way of a third.
        ("use super::shout;", "pub fn shout() {}"),
        ("use super::acl::Acl;", ""),
    ],
)
def test_a_circle_in_a_room(tmp_path: Path, sid: str, name: str) -> None:
    changed = {
        "nt/mod.rs": "mod acl;\nuse name::shout;\n",
        "nt/acl.rs": "pub struct Acl;\nuse super::name;\n",
        "nt/name.rs": name,
    }
    assert faults(tmp_path, changed) == []
    found = faults(tmp_path, {**changed, "nt/sid.rs": sid})
    assert "nt/name.rs:1: nt::name -> nt::sid is part of a circle" in found
    assert all("circle" in fault for fault in found)


def test_a_circle_of_rooms_of_one_floor(tmp_path: Path) -> None:
    sideways = {**HOUSE.sideways, "error -> limits": "an error names the bound"}
    house = rooms.House(HOUSE.floors, sideways, HOUSE.system)
    assert faults(tmp_path, {"error.rs": "use crate::limits::Limits;\n"}, house) == [
        "error.rs:10: error -> limits is part of a circle",
        "limits.rs:1: limits -> error is part of a circle",
    ]


@pytest.mark.parametrize(
    "added",
    [
        "#[cfg(windows)]\nfn f() {}",
        "\nconst C: u8 = if cfg!(all(unix, not(miri))) { 1 } else { 2 };",
        '#[cfg(any(\n    target_os = "linux"))]\nfn f() {}',
        "#[cfg_attr(not(unix), allow(unused))]\nfn f() {}",
        "\nuse std::os::unix::ffi::OsStrExt;",
        "\nuse windows::Win32::Foundation::HANDLE;",
    ],
)
def test_a_room_that_depends_on_the_system(tmp_path: Path, added: str) -> None:
    line = 2 if added.startswith("#") else 3
    assert faults(tmp_path, {"nt/sid.rs": added}) == [f"nt/sid.rs:{line}: depends on the operating system"]


def test_a_room_without_a_floor(tmp_path: Path) -> None:
    assert faults(tmp_path, {"lib.rs": "mod tar;\n", "tar.rs": ""}) == ["tar: is a room without a floor"]


def test_a_file_that_no_module_leads_to(tmp_path: Path) -> None:
    assert faults(tmp_path, {"nt/acl.rs": ""}) == ["nt/acl.rs: no `mod` leads to it"]


def test_a_table_that_lists_more_than_there_is(tmp_path: Path) -> None:
    house = rooms.House(
        [*HOUSE.floors, ["py"]],
        {**HOUSE.sideways, "error -> limits": ""},
        {**HOUSE.system, "store": ""},
    )
    assert faults(tmp_path, {}, house) == [
        "py: has a floor, and there is no such room",
        "error -> limits: is listed, and there is no such arrow",
        "store: is listed, and needs no system",
    ]


def test_the_diagram_has_every_room_with_its_first_sentence(tmp_path: Path) -> None:
    faults(tmp_path, {})
    (tmp_path / "nt" / "mod.rs").write_text("//! Values of [`Sid`] and\n//! more. And so on.\n//!\n//! Not this.\n")
    drawn = rooms.diagram(tmp_path, HOUSE)
    assert [line.split()[:2] for line in drawn[1:4]] == [["3", "store"], ["2", "fs"], ["1", "nt"]]
    assert drawn[3].split(maxsplit=2)[2] == "Values of Sid and more."
    assert drawn[-2].endswith("limits -> error")
