//! Framed messages, requests and byte streams with credit over any byte stream, as a sans-I/O core and a tokio driver.
