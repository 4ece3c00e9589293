//! Decoding what is received.

use crate::{
    coming::Stopped,
    content::SHA1_LEN,
    entry::{Kind, LOOKS_LEN, Looks},
    input::{Content, Input, Meter},
    sink::Sink,
    tree::Order,
    tree_sink::TreeSink,
};

/// Reads a file to the end of the stream. Returns the checksum that its content must have.
///
/// # Errors
///
/// The reason why reading has stopped, or why the file cannot be written.
pub async fn receive_file(
    mut input: Input,
    mut meter: Meter<'_, '_>,
    sink: &mut Sink<'_>,
) -> Result<[u8; SHA1_LEN], Stopped> {
    let mut coming = input.begin().await?;
    meter.total = coming.announced();
    let sha1 = loop {
        match input.content(&mut coming, &mut meter).await? {
            Content::Copy(at, len) => sink.copy(at, len).await.map_err(Stopped::Unwritable)?,
            Content::Data(data) => sink.write(data).await.map_err(Stopped::Unwritable)?,
            Content::End(sha1) => break sha1,
        }
    };
    input.finish().await?;
    Ok(sha1)
}

/// Decodes a folder that is received.
///
/// # Errors
///
/// The reason why reading has stopped. [`TreeSink::end`] returns the reason if something could not
/// be written.
pub async fn receive_folder(
    mut input: Input,
    mut meter: Meter<'_, '_>,
    sink: &TreeSink,
) -> Result<(), Stopped> {
    let mut depth = 0_usize;
    loop {
        let [kind] = input.array().await?;
        let kind = Kind::read(kind).map_err(Stopped::Malformed)?;
        if kind == Kind::Leave {
            sink.give(Order::Leave).await?;
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return input.finish().await;
            }
            continue;
        }
        let name = short(&mut input).await?;
        let looks = Looks::read(input.array::<LOOKS_LEN>().await?);
        match kind {
            Kind::Folder => {
                sink.give(Order::Enter(name, looks)).await?;
                depth += 1;
            }
            Kind::File => {
                sink.give(Order::File(name, looks)).await?;
                let mut coming = input.begin().await?;
                loop {
                    match input.content(&mut coming, &mut meter).await? {
                        Content::Copy(..) => {
                            let problem = "a copy within a folder";
                            let error = std::io::Error::new(std::io::ErrorKind::InvalidData, problem);
                            return Err(Stopped::Malformed(error));
                        }
                        Content::Data(data) => sink.give(Order::Data(data)).await?,
                        Content::End(sha1) => break sink.give(Order::EndFile(sha1)).await?,
                    }
                }
            }
            Kind::Link => {
                let to = short(&mut input).await?;
                sink.give(Order::Link(name, to)).await?;
            }
            Kind::Reused => {
                let problem = "a file with a base, which was not asked for";
                let error = std::io::Error::new(std::io::ErrorKind::InvalidData, problem);
                return Err(Stopped::Malformed(error));
            }
            Kind::LeftOut | Kind::Leave => {}
        }
    }
}

async fn short(input: &mut Input) -> Result<Vec<u8>, Stopped> {
    let len = u16::from_be_bytes(input.array().await?);
    input.bytes(len.into()).await
}
