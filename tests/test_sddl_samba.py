"""SDDL against Samba: thousands of generated descriptors, both ways, every difference explained.

Samba 4.17 (Debian 12) is what the causes below were found with. A descriptor may differ from Samba's answer for a cause
that is listed, and for no other: each cause says how to get from one side to the other, after which both must be equal.
"""

import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import winlayers as wl

pytestmark = pytest.mark.host

SYSTEM_PYTHON = Path("/usr/bin/python3")
DOMAIN = "S-1-5-21-1004336348-1177238915-682003330"
COUNT = 4000

# What the system's Python runs: a JSON line {"sddl": ...} or {"hex": ...} in, one out.
PEER = """
import json, sys
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
domain = security.dom_sid(sys.argv[1])
for line in sys.stdin:
    question = json.loads(line)
    try:
        if "sddl" in question:
            answer = {"hex": ndr_pack(security.descriptor.from_sddl(question["sddl"], domain)).hex()}
        else:
            descriptor = ndr_unpack(security.descriptor, bytes.fromhex(question["hex"]))
            answer = {"sddl": descriptor.as_sddl(domain)}
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer))
"""


def ask_samba(questions: list[dict[str, str]]) -> list[dict[str, str]]:
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", PEER, DOMAIN], input=lines, capture_output=True, text=True, check=True, timeout=300
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


@pytest.fixture(scope="module", autouse=True)
def _samba() -> None:
    if sys.platform == "win32" or not SYSTEM_PYTHON.exists():
        pytest.skip("no system Python that Debian's python3-samba could be in")
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import samba.dcerpc.security"], capture_output=True, check=False)
    if found.returncode != 0:
        pytest.skip("Debian's package python3-samba is not installed")


# The generator.

ALIASES: list[str] = re.findall(
    "..",
    "WDCOCGOWNUIUSUANEDPSAURCSYLSNSWRBABUBGPUAOSOPOBORERURDNOMULUISCYERCDRAESMSHAAARMUDACLWMEMPHISIASSSROLALGDADUDGDCDD"
    "CASAEAPACNAPKAEKRS",
)
SINGLE: list[str] = re.findall("..", "GAGRGWGXRCSDWDWORPWPCCDCLCSWLODTCR")
SETS = {
    "FA": 0x1F01FF,
    "FR": 0x120089,
    "FW": 0x120116,
    "FX": 0x1200A0,
    "KA": 0xF003F,
    "KR": 0x20019,
    "KW": 0x20006,
    "KX": 0x20019,
}
BITS = {
    "CC": 0x1,
    "DC": 0x2,
    "LC": 0x4,
    "SW": 0x8,
    "RP": 0x10,
    "WP": 0x20,
    "DT": 0x40,
    "LO": 0x80,
    "CR": 0x100,
    "SD": 0x10000,
    "RC": 0x20000,
    "WD": 0x40000,
    "WO": 0x80000,
    "GA": 0x10000000,
    "GX": 0x20000000,
    "GW": 0x40000000,
    "GR": 0x80000000,
}


def a_sid(rng: random.Random) -> str:
    if rng.random() < 0.6:
        alias: str = rng.choice(ALIASES)
        return alias
    if rng.random() < 0.2:
        return f"{DOMAIN}-{rng.choice([498, 500, 512, 519, 553, 1001])}"
    authority = rng.choice([0, 1, 3, 5, 15, 16, 18, 99, 2**32 - 1])
    return f"S-1-{authority}" + "".join(
        f"-{rng.choice([0, 1, 21, 32, 544, 4096, rng.getrandbits(32)])}" for _ in range(rng.randint(1, 15))
    )


def some_rights(rng: random.Random) -> str:
    match rng.randrange(8):
        case 0:
            return rng.choice(list(SETS))
        case 1:
            return "".join(rng.sample([*SETS, *SINGLE], 3))
        case 2:
            return hex(rng.getrandbits(32))
        case 3:
            return hex(rng.choice([0, 1, *SETS.values()]))
        case 4:
            return str(rng.getrandbits(20)) if rng.random() < 0.5 else f"0{rng.getrandbits(20):o}"
        case _:
            return "".join(rng.sample(SINGLE, rng.randint(0, 6)))


def a_guid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class AceText(NamedTuple):
    kind: str
    flags: str
    rights: str
    guid: str
    inherited_guid: str
    sid: str

    def __str__(self) -> str:
        return f"({';'.join(self)})"


class Sddl(NamedTuple):
    owner: str
    group: str
    dacl: tuple[str, tuple[AceText, ...]] | None
    sacl: tuple[str, tuple[AceText, ...]] | None

    def __str__(self) -> str:
        text = (f"O:{self.owner}" if self.owner else "") + (f"G:{self.group}" if self.group else "")
        for letter, acl in (("D", self.dacl), ("S", self.sacl)):
            if acl is not None:
                text += f"{letter}:{acl[0]}{''.join(map(str, acl[1]))}"
        return text

    def each_ace(self, change: Callable[[AceText], AceText]) -> "Sddl":
        dacl, sacl = ((acl[0], tuple(map(change, acl[1]))) if acl else acl for acl in (self.dacl, self.sacl))
        return self._replace(dacl=dacl, sacl=sacl)


def an_ace(rng: random.Random, plain: list[str], of_objects: list[str]) -> AceText:
    is_object = rng.random() < 0.25
    flags = "".join(rng.sample(["OI", "CI", "NP", "IO", "ID"], rng.randint(0, 4)))
    guids = ["", ""]
    if is_object:
        guids = [a_guid(rng) if rng.random() < 0.7 else "" for _ in range(2)]
    kind = rng.choice(of_objects if is_object else plain)
    if kind in ("AU", "OU"):
        flags += rng.choice(["SA", "FA", "SAFA"])
    if kind == "ML":
        return AceText(kind, flags, "".join(rng.sample(["NW", "NR", "NX"], 2)), "", "", rng.choice(["LW", "ME", "HI"]))
    return AceText(kind, flags, some_rights(rng), guids[0], guids[1], a_sid(rng))


def an_acl(rng: random.Random, plain: list[str], of_objects: list[str]) -> tuple[str, tuple[AceText, ...]] | None:
    if rng.random() < 0.25:
        return None
    if rng.random() < 0.05:
        return "NO_ACCESS_CONTROL", ()
    flags = "".join(word for word in ("P", "AR", "AI") if rng.random() < 0.3)
    return flags, tuple(an_ace(rng, plain, of_objects) for _ in range(rng.randint(0, 5)))


def generated() -> list[Sddl]:
    rng = random.Random(20_240_917)
    return [
        Sddl(
            a_sid(rng) if rng.random() < 0.8 else "",
            a_sid(rng) if rng.random() < 0.8 else "",
            an_acl(rng, ["A", "D"], ["OA", "OD"]),
            an_acl(rng, ["AU", "AL", "ML", "SP"], ["OU"]),
        )
        for _ in range(COUNT)
    ]


# From text to bytes. Each cause changes the text into what Samba takes for the same.


def mask_of(rights: str) -> int:
    if rights[:1].isdigit():
        return int(rights, 8 if re.fullmatch("0[0-7]+", rights) else 0)
    words = re.findall("..", rights)
    total = 0
    for word in words:
        total |= SETS[word] if word in SETS else BITS[word]
    return total


def without_sets(ace: AceText) -> AceText:
    """Samba reads FA as 0x1ff, and does not know KA, KR, KW and KX."""
    has_sets = not ace.rights[:1].isdigit() and bool({"FA", "KA", "KR", "KW", "KX"} & set(re.findall("..", ace.rights)))
    return ace._replace(rights=hex(mask_of(ace.rights))) if has_sets and ace.kind != "ML" else ace


def without_other_bases(ace: AceText) -> AceText:
    """Samba knows hexadecimal numbers only; others read as 0."""
    other = ace.rights[:1].isdigit() and not ace.rights.startswith("0x")
    return ace._replace(rights=hex(mask_of(ace.rights))) if other else ace


def without_empty_objects(ace: AceText) -> AceText:
    """Windows makes an object entry without GUIDs a plain one; Samba leaves it."""
    plain = {"OA": "A", "OD": "D", "OU": "AU"}
    return ace._replace(kind=plain[ace.kind]) if ace.kind in plain and not ace.guid + ace.inherited_guid else ace


def without_labels(ace: AceText) -> AceText:
    """Samba does not know mandatory labels and policy entries: an audit entry is laid out the same."""
    if ace.kind == "SP":
        return ace._replace(kind="AU")
    if ace.kind == "ML":
        names = {"NW": "CC", "NR": "DC", "NX": "LC"}
        return ace._replace(kind="AU", rights="".join(names[word] for word in re.findall("..", ace.rights)))
    return ace


def flags_alone(acl: tuple[str, tuple[AceText, ...]] | None) -> bool:
    return acl is not None and acl[0] != "" and not acl[1]


def without_flags_before_a_section(text: Sddl) -> str | None:
    """Samba takes the next section's letter for a flag when no entry stands between: such a list has to come last."""
    if not flags_alone(text.dacl) or text.sacl is None:
        return str(text)
    if flags_alone(text.sacl):
        return None
    return f"{text._replace(dacl=None)}{text._replace(owner='', group='', sacl=None)}"


TEXT_CAUSES = [without_sets, without_other_bases, without_empty_objects, without_labels]


def acl_offsets(data: bytes) -> list[int]:
    return [offset for at in (12, 16) if (offset := int.from_bytes(data[at : at + 4], "little"))]


def ace_offsets(data: bytes, acl: int) -> list[int]:
    offsets, at = [], acl + 8
    for _ in range(int.from_bytes(data[acl + 4 : acl + 6], "little")):
        offsets.append(at)
        at += int.from_bytes(data[at + 2 : at + 4], "little")
    return offsets


def as_samba_lays_out(data: bytes) -> bytes:
    """Samba gives every ACL revision 4, where Windows does so only for those with object entries."""
    out = bytearray(data)
    for acl in acl_offsets(data):
        out[acl] = 4
        for ace in ace_offsets(data, acl):
            if out[ace] in (0x11, 0x13):  # what without_labels did to the text
                out[ace] = 2
    return bytes(out)


def test_text_to_bytes() -> None:
    descriptors = generated()
    explained: Counter[str] = Counter()
    rewritten = []
    for descriptor in descriptors:
        text = descriptor
        for cause in TEXT_CAUSES:
            changed = text.each_ace(cause)
            explained[cause.__name__] += changed != text
            text = changed
        ordered = without_flags_before_a_section(text)
        explained["flags_before_a_section"] += ordered != str(text)
        rewritten.append(ordered or str(text))
    answers = ask_samba([{"sddl": text} for text in rewritten])
    for descriptor, answer in zip(descriptors, answers, strict=True):
        ours = bytes(wl.SecurityDescriptor.from_sddl(str(descriptor), DOMAIN))
        if any(acl and acl[0] == "NO_ACCESS_CONTROL" for acl in (descriptor.dacl, descriptor.sacl)):
            # Samba has no word for a NULL ACL.
            assert "error" in answer, descriptor
            explained["null_acl"] += 1
            continue
        if flags_alone(descriptor.dacl) and flags_alone(descriptor.sacl):
            assert "error" in answer, descriptor
            explained["flags_twice"] += 1
            continue
        expected = as_samba_lays_out(ours)
        explained["revision"] += expected != ours
        assert answer == {"hex": expected.hex()}, descriptor
    by_hand = {"flags_before_a_section", "flags_twice", "null_acl", "revision"}
    assert set(explained) == {cause.__name__ for cause in TEXT_CAUSES} | by_hand
    assert min(explained.values()) >= 20, explained


def test_the_causes_are_real() -> None:
    """As Samba stands, each of them does make a difference: a newer one would show here."""
    texts = {
        "D:(A;;FA;;;WD)": "ff010000",
        "D:(A;;123;;;WD)": "0000140000000000",
        "D:(OA;;RP;;;WD)": "0500180010000000",
        "S:(ML;;NW;;;LW)": None,
        "S:(SP;;;;;WD)": None,
        "D:NO_ACCESS_CONTROL": None,
        "D:(A;;KA;;;WD)": None,
        "D:PS:(AU;;GA;;;WD)": None,
        "D:PS:P": None,
        "d:(a;;ga;;;wd)": None,
        "D: (A;;GA;;;WD)": None,
    }
    for (text, part), answer in zip(texts.items(), ask_samba([{"sddl": text} for text in texts]), strict=True):
        ours = bytes(wl.SecurityDescriptor.from_sddl(text))
        if part is None:
            assert "error" in answer, text
        else:
            assert part in answer["hex"]
            assert part not in ours.hex()


# From bytes to text. Each cause explains one field.

ACE = re.compile(r"\(([A-Z]+);([A-Z]*);([^;]*);([^;]*);([^;]*);([^;)]*)\)")


def explain_rights(ours: str, theirs: str) -> str | None:
    if ours == theirs:
        return None
    assert mask_of(ours) == mask_of(theirs)
    if ours in SETS:
        return "Windows has a word for a whole set of file or key rights"
    if ours.startswith("0x"):
        assert theirs == f"0x{int(ours, 16):08x}"
        return "Samba pads hexadecimal masks to eight digits"
    assert sorted(re.findall("..", ours)) == sorted(re.findall("..", theirs))
    assert [BITS[word] for word in re.findall("..", ours)] == sorted(BITS[word] for word in re.findall("..", ours))
    return "Windows writes rights by bit, Samba in the order of its table"


def test_bytes_to_text() -> None:
    explained: Counter[str | None] = Counter()
    descriptors = []
    for descriptor in generated():
        raw = bytes(wl.SecurityDescriptor.from_sddl(str(descriptor), DOMAIN))
        if any(raw[ace] in (0x11, 0x13) for acl in acl_offsets(raw) for ace in ace_offsets(raw, acl)):
            explained["label"] += 1
            continue
        descriptors.append(raw)
    for raw, answer in zip(descriptors, ask_samba([{"hex": raw.hex()} for raw in descriptors]), strict=True):
        ours, theirs = wl.SecurityDescriptor(raw).to_sddl(DOMAIN), answer["sddl"]
        if "NO_ACCESS_CONTROL" in ours:
            # Samba leaves a NULL ACL out.
            ours = re.sub("[DS]:[PARI]*NO_ACCESS_CONTROL", "", ours)
            explained["null_acl"] += 1
        if "S-1-0xffffffff-" in theirs:
            # From 2^32 on, [MS-DTYP] and Windows write an authority in hexadecimal; Samba begins one earlier.
            theirs = theirs.replace("S-1-0xffffffff-", "S-1-4294967295-")
            explained["authority"] += 1
        assert ACE.sub("()", ours) == ACE.sub("()", theirs)
        for mine, other in zip(ACE.findall(ours), ACE.findall(theirs), strict=True):
            explained[explain_rights(mine[2], other[2])] += 1
            assert (*mine[:2], *mine[3:]) == (*other[:2], *other[3:])
    assert len(explained) == 7
    assert min(explained.values()) >= 20, explained
