//! The JSON API over the catalogue.
