"""Values for the property tests of payloads: any text that XML can carry, and payloads made of it."""

from hypothesis import strategies as st

from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option, Validation
from tidings.wire.xmpp.payloads.disco import Identity, Info, Item

_XML = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
texts = st.text(_XML | st.sampled_from("<>&'\" \t\n"), max_size=12)
words = st.text(_XML, min_size=1, max_size=12)
jids = st.sampled_from(
    [
        Jid("a@example.org"),
        Jid("a@example.org/x"),
        Jid("example.org"),
        Jid("example.org/x"),
        Jid("ü@bücher.example"),
    ]
)
times = st.integers(0, 4_000_000_000).map(float)


def through_bytes(element: Element) -> Element:
    """Return what another party reads when it is sent the element."""
    return decode(element.to_bytes("jabber:client"), "jabber:client")


validations = st.one_of(
    st.builds(Validation, st.just("xs:string"), st.sampled_from(["basic", "open"])),
    st.builds(lambda low, high: Validation("xs:integer", "range", low, high), texts, texts),
    st.builds(lambda pattern: Validation(pattern=pattern, method="regex"), texts),
    st.builds(
        lambda few, many: Validation(fewest=few, most=many), st.none() | st.integers(0, 9), st.integers(0, 9)
    ),
)
options = st.builds(Option, texts, texts)
fields = st.builds(
    Field,
    words,
    st.lists(texts, max_size=3).map(tuple),
    st.none() | st.sampled_from(FieldKind),
    texts,
    texts,
    st.booleans(),
    st.lists(options, max_size=2).map(tuple),
    st.none() | validations,
)
field_lists = st.lists(fields, max_size=3).map(tuple)
forms = st.builds(
    DataForm,
    st.sampled_from(FormKind),
    field_lists,
    texts,
    st.lists(texts, max_size=2).map(tuple),
    field_lists,
    st.lists(field_lists, max_size=2).map(tuple),
)
identities = st.builds(Identity, words, words, texts, st.sampled_from(["", "en", "de-AT"]))
items = st.builds(Item, jids, texts, texts)


def infos() -> st.SearchStrategy[Info]:
    """Return answers that capabilities can cover: each form has a FORM_TYPE, and no two have the same."""
    scoped = st.builds(
        lambda kind, content: DataForm.of(FormKind.RESULT, kind, *content),
        words,
        st.lists(
            st.builds(Field, words.filter(lambda name: name != "FORM_TYPE"), st.tuples(texts)), max_size=2
        ),
    )
    return st.builds(
        Info,
        texts,
        st.lists(identities, max_size=3, unique=True).map(tuple),
        st.lists(words, max_size=4, unique=True).map(tuple),
        st.lists(scoped, max_size=2, unique_by=lambda form: form.form_type).map(tuple),
    )
