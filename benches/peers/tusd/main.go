// tusd's core with its file store and file locker, as its documentation sets them up: tusd FOLDER
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/tus/tusd/v2/pkg/filelocker"
	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
)

func main() {
	folder := os.Args[1]
	composer := handler.NewStoreComposer()
	filestore.New(folder).UseIn(composer)
	filelocker.New(folder).UseIn(composer)
	uploads, err := handler.NewHandler(handler.Config{BasePath: "/uploads/", StoreComposer: composer})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/uploads/", http.StripPrefix("/uploads/", uploads))
	http.Handle("/uploads", http.StripPrefix("/uploads", uploads))
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
