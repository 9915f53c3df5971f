"""A notebook in Streamlit: write a note, see it in the list.

By hand: streamlit run app.py
"""

import os
from pathlib import Path

import streamlit as st

# Notes live in a file, because an app that may be put to sleep at any idle moment keeps nothing in memory.
NOTES = Path(os.environ.get("NOTES_FILE", Path(__file__).with_name("notes.txt")))


def read_notes() -> list[str]:
    if not NOTES.exists():
        return []
    return NOTES.read_text(encoding="utf-8").splitlines()


def add_note(text: str) -> None:
    line = " ".join(text.split())
    if line:
        with NOTES.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


st.set_page_config(page_title="Notes", page_icon="🌙")
st.title("Notes")
st.caption("This app was asleep until you knocked. It sleeps again when nobody uses it.")

with st.form("new", clear_on_submit=True):
    text = st.text_input("New note", placeholder="Something worth remembering")
    if st.form_submit_button("Keep it"):
        add_note(text)

notes = read_notes()
st.subheader(f"{len(notes)} kept" if notes else "Nothing kept yet")
for note in reversed(notes[-50:]):
    st.markdown(f"- {note}")

# One small thing that reacts at once: each click travels over the WebSocket and back.
clicks = st.session_state.setdefault("clicks", 0)
if st.button("Click me"):
    clicks = st.session_state["clicks"] = clicks + 1
st.write(f"Clicked {clicks} times")
