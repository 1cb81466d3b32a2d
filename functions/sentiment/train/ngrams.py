"""A text as the set of ids that the model takes: the contract between this trainer and the function.

1. The text in Unicode's form NFC, then each code point in lower case, by its own full mapping and
   without regard to its neighbours or to a locale (`İ` becomes `i` and a combining dot).
2. Tokens, by general category: a run of letters, marks and numbers (L*, M*, N*) is one; each
   punctuation mark or symbol (P*, S*) is one by itself; anything else separates.
3. One space, then each token and one space after it. A text without tokens has no ids at all.
4. All its substrings of 2 to 8 code points, as UTF-8.
5. The id of each: FNV-1a of 32 bits, modulo 2^18, plus one. Ids are a set; order means nothing, and
   zeros pad a row.

Categories are those of Unicode 14: of a code point that is newer, nothing was learnt.
"""

import unicodedata

SHORTEST, LONGEST = 2, 8
BUCKETS = 1 << 18


def tokens(text):
    found, word = [], ""
    for composed in unicodedata.normalize("NFC", text):
        for c in composed.lower():
            kind = unicodedata.category(c)[0]
            if kind in "LMN":
                word += c
                continue
            if word:
                found.append(word)
                word = ""
            if kind in "PS":
                found.append(c)
    return [*found, word] if word else found


def ids(text):
    padded = [c.encode() for c in " ".join(["", *tokens(text), ""])]
    found = set()
    for start in range(len(padded)):
        h = 0x811C9DC5
        for length, c in enumerate(padded[start : start + LONGEST], 1):
            for byte in c:
                h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
            if length >= SHORTEST:
                found.add(h % BUCKETS + 1)
    return sorted(found)
