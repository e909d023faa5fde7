"""What the tests of translation between formats share: facts, comparisons, second opinions."""
