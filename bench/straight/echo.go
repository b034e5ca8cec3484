// Go: a goroutine a connection, on one processor. TCP_NODELAY is its default.
package main

import (
	"fmt"
	"net"
	"runtime"
)

func session(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, 1024)
	for {
		size, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err = connection.Write(buffer[:size]); err != nil {
			return
		}
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		if err == nil {
			go session(connection)
		}
	}
}
