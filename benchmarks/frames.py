"""A small real dashboard: 400,000 orders in a data frame, a chart of some, a table of figures.

By hand: streamlit run benchmarks/frames.py
"""

import numpy as np
import pandas as pd
import streamlit as st

ROWS = 400_000


@st.cache_data
def load() -> pd.DataFrame:
    """25 MB, as a dashboard that has read its file would hold."""
    dice = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "day": np.datetime64("2024-01-01") + np.sort(dice.integers(0, 700, ROWS)),
            "shop": dice.integers(0, 40, ROWS),
            "article": dice.zipf(1.3, ROWS) % 5000,
            "pieces": dice.poisson(2, ROWS) + 1,
            "price": dice.lognormal(3, 1, ROWS).round(2),
            "discount": dice.choice([0.0, 0.05, 0.1, 0.25], ROWS),
        }
    )


frame = load()
st.title("Frames")
st.line_chart(frame.groupby("day")["price"].sum())
st.write(frame.describe())
