"""What a visitor gets while an app wakes, or when it cannot: the page, its live events, problem documents."""
