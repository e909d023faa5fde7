"""The downstream edge: from paths to the pipeline or to objects. No decisions are taken here."""
