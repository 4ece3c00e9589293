import os,zlib;b=bytearray();[b.extend(c)for(c)in(iter(lambda:os.read(0,SIZE-len(b)),bytes()))];p=zlib.decompress(bytes(b)).split(bytes(bytearray(1)));exec(p[0],dict(parts=p))
