"""Language codes from names and codes in any form ("Italian", "IT", "it-IT", "ita")."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable

#: One language per line: Whisper's code, other codes, and English names. Whisper's codes are those of ISO 639-1, except
#: `jw` (Javanese), `haw` and `yue`.
_TABLE = """
en eng english
zh zho chi cmn chinese, mandarin
de deu ger german
es spa spanish, castilian
ru rus russian
ko kor korean
fr fra fre french
ja jpn japanese
pt por portuguese
tr tur turkish
pl pol polish
ca cat catalan, valencian
nl nld dut dutch, flemish
ar ara arb arabic
sv swe swedish
it ita italian
id ind in indonesian
hi hin hindi
fi fin finnish
vi vie vietnamese
he heb iw hebrew
uk ukr ukrainian
el ell gre greek
ms msa may zsm zlm malay
cs ces cze czech
ro ron rum mo romanian, moldavian, moldovan
da dan danish
hu hun hungarian
ta tam tamil
no nor nb nob norwegian, bokmål, bokmal
th tha thai
ur urd urdu
hr hrv croatian
bg bul bulgarian
lt lit lithuanian
la lat latin
mi mri mao maori
ml mal malayalam
cy cym wel welsh
sk slk slo slovak
te tel telugu
fa fas per pes persian, farsi
lv lav lvs latvian
bn ben bengali, bangla
sr srp serbian
az aze azj azerbaijani
sl slv slovenian, slovene
kn kan kannada
et est ekk estonian
mk mkd mac macedonian
br bre breton
eu eus baq basque
is isl ice icelandic
hy hye arm armenian
ne nep npi nepali
mn mon khk mongolian
bs bos bosnian
kk kaz kazakh
sq sqi alb albanian
sw swa swh swahili
gl glg galician
mr mar marathi
pa pan punjabi, panjabi
si sin sinhala, sinhalese
km khm khmer
sn sna shona
yo yor yoruba
so som somali
af afr afrikaans
oc oci occitan
ka kat geo georgian
be bel belarusian
tg tgk tajik
sd snd sindhi
gu guj gujarati
am amh amharic
yi yid ji yiddish
lo lao lao
uz uzb uzn uzbek
fo fao faroese
ht hat haitian creole, haitian
ps pus pashto, pushto
tk tuk turkmen
nn nno nynorsk, norwegian nynorsk
mt mlt maltese
sa san sanskrit
lb ltz luxembourgish, letzeburgesch
my mya bur myanmar, burmese
bo bod tib tibetan
tl tgl fil tagalog, filipino
mg mlg malagasy
as asm assamese
tt tat tatar
haw haw hawaiian
ln lin lingala
ha hau hausa
ba bak bashkir
jw jv jav javanese
su sun sundanese
yue yue cantonese
"""

#: Scripts and dialects in the tags of MMS.
_FINER = re.compile(r"[-_](script|dialect)_")


def language_code(name: str) -> str | None:
    """The code of a language, given by a code or English name, in any case, with or without a region; None if unknown.

    "Italian", "IT", "it-IT", "it_it", "ita" and "<|it|>" are all "it".
    """
    plain = name.strip().removeprefix("<|").removesuffix("|>").strip().casefold()
    known = _codes()
    return known.get(plain) or known.get(re.split(r"[-_(,]", plain)[0].strip())


def language_tag(name: str) -> str:
    """The code of a language; the name itself where it is not known, or names a script or dialect of its own.

    "Italian" and "it-IT" are "it"; "azj-script_latin" stays as it is.
    """
    return name if _FINER.search(name) else language_code(name) or name


def tags_of(name: str, tags: Iterable[str]) -> list[str]:
    """Those of a model's `tags` that stand for a language: the tag itself, or all that are variants of the language.

    "it" and "Italian" are "ita"; "az" is "azj-script_latin" and "azj-script_cyrillic".
    """
    tags, plain = list(tags), name.strip().casefold()
    if exact := [tag for tag in tags if tag.casefold() == plain]:
        return exact
    code = language_code(name)
    return [tag for tag in tags if code is not None and language_code(tag) == code]


def similar_language(name: str) -> str | None:
    """The English name of a known language that is spelled like `name`."""
    near = difflib.get_close_matches(name.strip().casefold(), [known for known in _codes() if len(known) > 3], n=1)
    return near[0].title() if near else None


@functools.cache
def _codes() -> dict[str, str]:
    """Any code or name of a language -> its code."""
    found: dict[str, str] = {}
    for line in _TABLE.strip().splitlines():
        code, rest = line.split(maxsplit=1)
        short = re.match(r"(?:\w{2,3} )*", rest)
        assert short is not None
        names = [code, *short[0].split(), *rest[short.end() :].split(", ")]
        found |= dict.fromkeys(names, code)
    return found
