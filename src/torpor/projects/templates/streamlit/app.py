"""A small Streamlit app: numbers that you can play with."""

import math

import streamlit as st

st.set_page_config(page_title="Waves", page_icon="🌊")
st.title("Waves")
st.caption("This app sleeps when nobody uses it, and was woken by your visit.")

waves = st.slider("Waves", min_value=1, max_value=10, value=3)
strength = st.slider("Strength", min_value=0.0, max_value=2.0, value=1.0)

steps = 200
st.line_chart([strength * math.sin(2 * math.pi * waves * step / steps) for step in range(steps)])

# What belongs to one visitor's tab.  It is gone when the app sleeps: what has to stay goes to a file.
st.session_state.setdefault("clicks", 0)
if st.button("Click me"):
    st.session_state["clicks"] += 1
st.write(f"Clicked {st.session_state['clicks']} times.")
