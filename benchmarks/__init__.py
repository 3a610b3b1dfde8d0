"""What the pipeline costs, beside what the wire allows and beside what people use today. See docs/performance.md."""
