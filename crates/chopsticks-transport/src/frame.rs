//! Frame headers: `docs/wire.md` §2.

use crate::error::PeerFault;
use crate::format::Format;
use crate::operation::Operation;

/// The length of a header.
pub(crate) const HEADER_LEN: usize = 10;

const FORMAT_BITS: u8 = 0x0f;
const MORE_BIT: u8 = 0x80;

/// The header of one frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FrameHeader {
    pub(crate) size: u32,
    pub(crate) request: u32,
    pub(crate) operation: Operation,
    pub(crate) format: Format,
    pub(crate) more: bool,
}

impl FrameHeader {
    /// Creates the header of a frame that has no format and is a complete message.
    pub(crate) fn plain(size: u32, request: u32, operation: Operation) -> Self {
        Self { size, request, operation, format: Format::None, more: false }
    }

    pub(crate) fn encode(self) -> [u8; HEADER_LEN] {
        let [size0, size1, size2, size3] = self.size.to_be_bytes();
        let [request0, request1, request2, request3] = self.request.to_be_bytes();
        let flags = self.format.code() | if self.more { MORE_BIT } else { 0 };
        let operation = self.operation.code();
        [size0, size1, size2, size3, request0, request1, request2, request3, operation, flags]
    }

    pub(crate) fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self, PeerFault> {
        let [size0, size1, size2, size3, request0, request1, request2, request3, operation, flags] = bytes;
        let reserved = flags & !(FORMAT_BITS | MORE_BIT);
        if reserved != 0 {
            return Err(PeerFault::ReservedFlags { flags });
        }
        let format = flags & FORMAT_BITS;
        Ok(Self {
            size: u32::from_be_bytes([size0, size1, size2, size3]),
            request: u32::from_be_bytes([request0, request1, request2, request3]),
            operation: Operation::new(operation).ok_or(PeerFault::UnknownOperation { code: operation })?,
            format: Format::new(format).ok_or(PeerFault::UnknownFormat { code: format })?,
            more: flags & MORE_BIT != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::FrameHeader;
    use crate::error::PeerFault;
    use crate::format::Format;
    use crate::operation::Operation;

    #[test]
    fn header_has_the_layout_of_the_specification() {
        let header = FrameHeader {
            size: 0x0102_0304,
            request: 0x0506_0708,
            operation: Operation::application(0x20),
            format: Format::Marshal,
            more: true,
        };
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 0x20, 0x82];
        assert_eq!(header.encode(), bytes);
        assert_eq!(FrameHeader::decode(bytes), Ok(header));
    }

    #[test]
    fn header_with_anything_unknown_is_refused() {
        let refuse = |operation, flags| FrameHeader::decode([0, 0, 0, 0, 0, 0, 0, 2, operation, flags]);
        assert_eq!(refuse(0x20, 0x10), Err(PeerFault::ReservedFlags { flags: 0x10 }));
        assert_eq!(refuse(0x20, 0xc1), Err(PeerFault::ReservedFlags { flags: 0xc1 }));
        assert_eq!(refuse(0x20, 0x04), Err(PeerFault::UnknownFormat { code: 4 }));
        assert_eq!(refuse(0x0c, 0x00), Err(PeerFault::UnknownOperation { code: 0x0c }));
    }
}
